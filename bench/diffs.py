"""Three merge requests to review: small, middle and large, made anew the same way each time."""

import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

NOUNS = ("order", "invoice", "user", "shipment", "payment", "basket", "voucher", "address", "refund", "report")
VERBS = ("load", "save", "merge", "parse", "render", "check", "count", "split", "price", "notify")


@dataclass(frozen=True)
class Size:
    """How large a merge request is."""

    name: str
    files: int
    lines: int
    """Changed lines: added and removed ones."""


SIZES = (Size("small", 3, 105), Size("middle", 60, 4_800), Size("large", 300, 29_600))


def make_repository(folder: Path, size: Size) -> Path:
    """Make a repository with a branch `main` and, from it, a branch `change` of the given size."""
    chance = random.Random(size.name)
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "--initial-branch=main")
    share = [size.lines // size.files + (number < size.lines % size.files) for number in range(size.files)]
    paths = [f"src/{chance.choice(NOUNS)}s/{chance.choice(VERBS)}_{number}.py" for number in range(size.files)]
    for path, changed in zip(paths, share, strict=True):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(functions(chance, changed)) + "\n")
    commit(folder, "Base")
    git(folder, "checkout", "-q", "-b", "change")
    for path, changed in zip(paths, share, strict=True):
        target = folder / path
        target.write_text("\n".join(edited(chance, target.read_text().splitlines(), changed)) + "\n")
    commit(folder, "Change")
    return folder


def functions(chance: random.Random, lines: int) -> list[str]:
    """Give about so many lines of plain code."""
    text: list[str] = []
    while len(text) < lines:
        noun, verb, number = chance.choice(NOUNS), chance.choice(VERBS), chance.randrange(10_000)
        text += [
            f"def {verb}_{noun}_{number}({noun}, limit={chance.randrange(100)}):",
            f'    """{verb.title()} one {noun} up to a limit."""',
            f"    found = [{noun}.get(key) for key in sorted({noun})]",
            f"    if len(found) > limit + {chance.randrange(9)}:",
            f'        raise ValueError(f"too many {noun}s: {{len(found)}}")',
            f"    return sum(value * {chance.randrange(2, 99)} for value in found)",
            "",
            "",
        ]
    return text


def edited(chance: random.Random, lines: list[str], changed: int) -> list[str]:
    """Replace lines in blocks, each replaced one counting twice, and add the rest at the end."""
    replaced = changed // 4
    blocks = sorted(chance.sample(range(0, len(lines) - 8, 8), k=max(1, min(replaced // 2, len(lines) // 8 - 1))))
    left = replaced
    for start in blocks:
        for offset in (3, 5):
            if left:
                lines[start + offset] = (
                    lines[start + offset].replace("> limit", ">= limit").replace("value *", "7 + value *")
                )
                left -= 1
    # Whole functions, and a word at the end: half of one would be a fault that analyzers find.
    missing = changed - 2 * (replaced - left)
    whole = functions(chance, missing)[: missing // 8 * 8] if missing >= 8 else []
    return lines + whole + [f"# {number} more" for number in range(missing - len(whole))]


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Bench", "-c", "user.email=bench@example.com", "commit", "-q", "-m", message)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout


def changed_lines(folder: Path) -> int:
    """Count what git itself says was added and removed."""
    rows = git(folder, "diff", "--numstat", "main", "change").splitlines()
    return sum(int(part) for row in rows for part in row.split("\t")[:2])
