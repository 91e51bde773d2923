"""R8 to R10 and R14 on histories that nobody thought of, with a reviewer that invents findings at random."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from mergewright.domain.policy import Policy
from mergewright.domain.review import Candidate, Finding, FindingState, Place, Severity
from mergewright.review.anchor import Anchored, anchor
from mergewright.review.changed import changed_lines, locate
from mergewright.review.decide import Facts, blocking, decide
from mergewright.review.reconcile import Answer, needs_answer, reconcile
from tests.review.texts import diff

Tree = dict[str, list[str]]
SEVERITIES = st.sampled_from([Severity.MINOR, Severity.CRITICAL, Severity.BLOCKER])


@dataclass
class Author:
    """Somebody who edits a branch; every line's text is its own, so that a line can be known again."""

    data: DataObject
    base: Tree
    head: Tree
    count: int = 0
    touched: set[str] = field(default_factory=set)
    """Lines that were written, moved or lost a neighbour since the last review."""
    brought: set[str] = field(default_factory=set)
    """Lines that the target branch has brought since the last review."""
    pushed: list[Tree] = field(default_factory=list)

    def fresh(self) -> str:
        self.count += 1
        return f"    line {self.count}"

    def path(self) -> str:
        return self.data.draw(st.sampled_from(sorted(self.head)))

    def number(self, lines: list[str]) -> int:
        return self.data.draw(st.integers(0, len(lines) - 1)) if lines else 0

    def step(self) -> None:
        order = ("insert", "edit", "delete", "move", "rename", "rebase", "revert", "nothing")
        getattr(self, self.data.draw(st.sampled_from(order)))()

    def nothing(self) -> None:
        """Push the same again."""

    def insert(self) -> None:
        lines = self.head[self.path()]
        line = self.fresh()
        lines.insert(self.number(lines), line)
        self.touched.add(line)

    def edit(self) -> None:
        lines = self.head[self.path()]
        if lines:
            lines[self.number(lines)] = line = self.fresh()
            self.touched.add(line)

    def delete(self) -> None:
        lines = self.head[self.path()]
        if lines:
            number = self.number(lines)
            del lines[number]
            self.touched.update(lines[max(number - 1, 0) : number + 1])

    def move(self) -> None:
        lines = self.head[self.path()]
        if len(lines) > 2:
            start = self.number(lines)
            block = lines[start : start + 2]
            before = list(lines)
            del lines[start : start + 2]
            target = self.data.draw(st.integers(0, len(lines)))
            lines[target:target] = block
            low, high = min(start, target), max(start, target) + 2
            self.touched.update(before[max(low - 1, 0) : high + 1])

    def rename(self) -> None:
        path = self.path()
        if "/" not in path:
            self.head[f"moved/{path}"] = self.head.pop(path)

    def rebase(self) -> None:
        """The target branch has gone on: what it brings is in both trees."""
        path = self.data.draw(st.sampled_from(sorted(self.base)))
        here = path if path in self.head else f"moved/{path}"
        common = [line for line in self.base[path] if line in self.head.get(here, ())]
        if common:
            after, line = self.data.draw(st.sampled_from(common)), self.fresh()
            for lines in (self.base[path], self.head[here]):
                lines.insert(lines.index(after) + 1, line)
            self.brought.add(line)

    def revert(self) -> None:
        """Push once more what was pushed before, as a force push does."""
        if self.pushed:
            old = self.data.draw(st.sampled_from(self.pushed))
            now = {line for lines in self.head.values() for line in lines}
            if set(old) == set(self.head) and all(set(old[path]) >= set(self.base.get(path, ())) for path in old):
                self.head = {path: list(lines) for path, lines in old.items()}
                kept = {line for lines in self.head.values() for line in lines}
                self.touched.update(kept - now)
                for lines in self.head.values():
                    self.touched.update(lines)


def renames(before: Tree, after: Tree) -> dict[str, str]:
    return {path: path.removeprefix("moved/") for path in after if path not in before and path.startswith("moved/")}


def invented(data: DataObject, head: Tree) -> list[Candidate]:
    """What a model may claim: anything, about any line, in any words."""
    found = []
    for _ in range(data.draw(st.integers(0, 4))):
        path = data.draw(st.sampled_from(sorted(head)))
        line = data.draw(st.integers(1, max(len(head[path]), 1)))
        severity = data.draw(SEVERITIES)
        category = data.draw(st.sampled_from(["correctness", "security"]))
        title = data.draw(st.sampled_from(["It breaks", "This fails at once", "`name` is wrong"]))
        found.append(Candidate(path, line, severity, category, title, "so it is"))
    return found


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_r08_r09_r10_r14_reviews_converge_whatever_the_author_and_the_reviewer_do(data: DataObject) -> None:
    policy = Policy()
    base = {"a.py": [f"base a {number}" for number in range(6)], "b.py": [f"base b {number}" for number in range(6)]}
    author = Author(data, base, {path: list(lines) for path, lines in base.items()})
    author.insert()
    findings: list[Finding] = []
    last: tuple[Tree, Tree] | None = None
    for round in range(1, data.draw(st.integers(2, 5)) + 1):
        for _ in range(data.draw(st.integers(0, 3)) if last else 1):
            author.step()
        base_now = {path: list(lines) for path, lines in author.base.items()}
        head_now = {path: list(lines) for path, lines in author.head.items()}
        now = diff(base_now, head_now, renames=renames(base_now, head_now))
        texts = {("new", path): lines for path, lines in head_now.items()}
        texts |= {("old", path): lines for path, lines in base_now.items()}
        files = {file.new_path: file for file in now}
        changed, old = None, []
        if last is not None:
            before = diff(last[0], last[1], renames=renames(last[0], last[1]))
            since = diff(last[1], head_now, renames=renames(last[1], head_now), context=0)
            changed = changed_lines(now, before, since)
            old = [locate(finding, since, texts) for finding in findings]
        standing = {one.finding.id for one in old if one.finding.state.standing}
        answers = {
            one.finding.id: Answer(data.draw(st.sampled_from(["fixed", "open", "unanswered"])), "seen", "model")
            for one in old
            if needs_answer(one)
        }
        anchored = [
            one for claim in invented(data, head_now) if isinstance(one := anchor(claim, files, texts), Anchored)
        ]

        def lines_of(place: Place, texts: dict[tuple[str, str], list[str]] = texts) -> list[str]:
            return texts[place.side, place.path]

        done = reconcile(
            old, answers, anchored, changed=changed, files=files, lines=lines_of, round=round, sha=f"sha{round}"
        )
        # R8: every standing finding is answered for.
        assert standing <= {reply.finding.id for reply in done.replies}
        # R14: no two open findings of one name.
        names = [finding.fingerprint for finding in done.findings if finding.state.standing]
        assert len(names) == len(set(names))
        # R43: untouched code is never fixed.
        for earlier in old:
            if earlier.finding.state.standing and earlier.state == "unchanged":
                after = next(finding for finding in done.findings if finding.id == earlier.finding.id)
                assert after.state.standing
        # R9, R10: what blocks is about lines that the author has touched since the last review.
        # Among lines that the author has moved, what the target brought is the merge request's own in every diff.
        added = {line.text for file in now for hunk in file.hunks for line in hunk.lines if line.kind == "+"}
        author.touched |= author.brought & added
        blocked_before = {finding.id for finding in findings if blocking(finding, policy)}
        for finding in done.findings:
            if last is not None and blocking(finding, policy) and finding.id not in blocked_before:
                lines = head_now.get(finding.place.path, [])
                about = {lines[number - 1] for number in finding.place.lines if number <= len(lines)}
                assert about & author.touched, (finding, author.touched)
        # Rounds end with the author's changes.
        verdict = decide(done.findings, policy, Facts()).verdict
        if last is not None and not author.touched and not blocked_before:
            assert not [finding for finding in done.new if blocking(finding, policy)], verdict
        findings = [
            finding if finding.id else replace(finding, id=f"{round}.{number}")
            for number, finding in enumerate(done.findings)
        ]
        author.touched, author.brought = set(), set()
        author.pushed.append(head_now)
        last = (base_now, head_now)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_r10_a_reviewer_that_always_finds_something_new_is_silent_once_the_author_stops(data: DataObject) -> None:
    lines = [f"line {number}" for number in range(12)]
    now = diff({}, {"a.py": lines})
    texts = {("new", "a.py"): lines}
    files = {file.new_path: file for file in now}
    claims = invented(data, {"a.py": lines})
    anchored = [one for claim in claims if isinstance(one := anchor(claim, files, texts), Anchored)]
    changed = changed_lines(now, now, ())
    done = reconcile((), {}, anchored, changed=changed, files=files, lines=lambda place: lines, round=2, sha="s")
    assert all(finding.late for finding in done.new)
    assert not any(blocking(finding, Policy()) for finding in done.findings)
    assert all(finding.state is FindingState.OPEN for finding in done.new)
