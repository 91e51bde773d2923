"""Names the tests that a change deleted, skipped or made weaker."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mergewright.domain.session import JSON
from mergewright.flows.checks import is_test
from mergewright.flows.python_tests import Shape, python_tests

LARGEST = 2_000_000
"""Characters of a file's two versions; a larger one is data and not written by hand."""


@dataclass(frozen=True, slots=True)
class TestFile:
    """A test file's text before and after a change; None where there is no such file."""

    path: str
    before: str | None
    after: str | None

    __test__ = False


@dataclass(frozen=True, slots=True)
class Weakening:
    """One test that holds less than before, and how one sees that."""

    path: str
    test: str
    what: str

    def encode(self) -> dict[str, JSON]:
        return {"path": self.path, "test": self.test, "what": self.what}


def weakened(files: Iterable[TestFile]) -> tuple[Weakening, ...]:
    """Compare tests before and after a change; only what got weaker is named, never what is new."""
    known = [file for file in files if is_test(file.path) and len(file.before or "") + len(file.after or "") < LARGEST]
    shapes = [(file, _shapes(file.path, file.before), _shapes(file.path, file.after)) for file in known]
    # A test that went to another file is not gone, but it may have got weaker on the way.
    moved = {name: after[name] for _, before, after in shapes for name in set(after) - set(before)}
    found: list[Weakening] = []
    for file, before, after in shapes:
        gone = [name for name in before if name not in after and name not in moved]
        if file.before is not None and file.after is None and (gone or not before):
            names = ", ".join(sorted(gone))[:300]
            what = f"the file was deleted, with {len(gone)} tests ({names})" if gone else "the file was deleted"
            found.append(Weakening(file.path, "", what))
        elif file.after is not None:
            found.extend(Weakening(file.path, name, "the test was deleted or renamed") for name in gone)
        for name, shape in before.items():
            now = after.get(name) or moved.get(name)
            found.extend(Weakening(file.path, name, what) for what in (_weaker(shape, now) if now else ()))
        for name in after:
            if file.before is not None and name not in before and after[name].skipped:
                found.append(Weakening(file.path, name, "the new test is skipped"))
    return tuple(found)


def _weaker(before: Shape, after: Shape) -> Iterable[str]:
    if after.skipped and not before.skipped:
        yield f"it is skipped now ({after.skipped})"
    if after.asserts < before.asserts:
        yield f"it has {after.asserts} assertion{'' if after.asserts == 1 else 's'} now, {before.asserts} before"
    if after.empty_asserts > before.empty_asserts:
        yield "it has an assertion now that cannot fail"
    for name, value in after.tolerances.items():
        if (
            name in before.tolerances
            and value != before.tolerances[name]
            and _looser(name, before.tolerances[name], value)
        ):
            yield f"its tolerance `{name}` went from {before.tolerances[name]:g} to {value:g}"


def _looser(name: str, before: float, after: float) -> bool:
    # For decimal places fewer is looser; for a distance more is.
    return after < before if name in {"places", "digits"} else after > before


def _shapes(path: str, text: str | None) -> dict[str, Shape]:
    if text is None:
        return {}
    if path.endswith(".py"):
        shapes = python_tests(text)
        if shapes is not None:
            return shapes
    return _text_tests(text)


_START = re.compile(
    r"""(?mx)^[ \t]*(?:
      (?P<mark>x|f)?(?:it|test|specify|describe|subtest)(?:\.(?P<mod>skip|todo|only|concurrent|failing))*\s*\(?\s*(?P<quote>['"`])(?P<name>.+?)(?P=quote)
    | func\s+(?P<go>(?:Test|Fuzz|Example)\w*)\s*\(
    | (?:pub\s+|async\s+)*fn\s+(?P<rust>\w+)\s*\(
    | def\s+(?P<def>test\w*)
    | (?:public\s+)?function\s+(?P<php>test\w*)
    )"""
)
_ASSERT = re.compile(
    r"(?<![\w.])(?:assert\w*!?|expect|ok|is|isnt|is_deeply|like|unlike|cmp_ok|isa_ok|can_ok|pass|refute\w*|require\.\w+|t\.(?:Error|Fatal)f?"
    r"|assert\.\w+|\$this->assert\w+|should|must_equal|throws_ok|lives_ok)\s*\(?"
)
_SKIPPED = re.compile(
    r"#\[ignore|\bt\.Skip(?:f|Now)?\(|\b(?:x)(?:it|test|describe)\s*\(|\.(?:skip|todo)\s*\(|\bskip_all\b|\bskip\s*\(|\$TODO\b|markTestSkipped|@tag\s+:skip|\bpending\s*\("
)
_EMPTY = re.compile(
    r"\bassert!\(\s*true\s*\)|\bok\s*\(\s*1\b|expect\(\s*true\s*\)\.toBe(?:Truthy)?\(|assert(?:True)?\(\s*true\s*\)|\bassert\s*\(?\s*true\s*\)?\s*;?\s*$",
    re.MULTILINE | re.IGNORECASE,
)


def _text_tests(text: str) -> dict[str, Shape]:
    """Take a file of any language apart at the lines on which tests begin; a file without any is one test."""
    starts = list(_START.finditer(text))
    shapes: dict[str, Shape] = {}
    seen: Counter[str] = Counter()
    head = text[: starts[0].start()] if starts else text
    if not starts or _ASSERT.search(head):
        shapes["the file's top level"] = _text_shape(head if starts else text, "")
    for index, match in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(text)
        body = text[match.start() : end]
        above = text[max(0, match.start() - 300) : match.start()].splitlines()[-4:]
        name = match["name"] or match["go"] or match["rust"] or match["def"] or match["php"]
        if match["rust"] and not any(re.match(r"\s*#\[(?:\w+::)?test", line) for line in above):
            continue
        marked = "x" if match["mark"] == "x" else match["mod"] if match["mod"] in {"skip", "todo"} else ""
        shape = _text_shape(body, marked or ("#[ignore]" if any("#[ignore" in line for line in above) else ""))
        seen[name] += 1
        shapes[name if seen[name] == 1 else f"{name} ({seen[name]})"] = shape
    return shapes


def _text_shape(body: str, skipped: str) -> Shape:
    code = re.sub(r"(?m)^[ \t]*(?://|#(?!\[)).*$", "", body)
    found = _SKIPPED.search(code)
    return Shape(
        asserts=len(_ASSERT.findall(code)),
        skipped=skipped or (found[0].strip("( #") if found else ""),
        empty_asserts=len(_EMPTY.findall(code)),
        tolerances={},
    )
