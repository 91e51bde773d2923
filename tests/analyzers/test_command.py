import json

import pytest

from mergewright.analyzers.command import Command
from mergewright.domain.errors import MergewrightError
from mergewright.domain.review import Severity
from mergewright.domain.session import JSON
from tests.analyzers.conftest import Make


def sarif(**result: JSON) -> str:
    place = {"artifactLocation": {"uri": "src/a.c"}, "region": {"startLine": 3, "endLine": 4}}
    rule = {"id": "R1", "shortDescription": {"text": "Use after free"}, "properties": {"security-severity": "8.1"}}
    one = {"ruleId": "R1", "message": {"text": "p is used"}, "locations": [{"physicalLocation": place}], **result}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"rules": [rule]}}, "results": [one]}]})


async def test_a_sarif_report_on_standard_output_gives_findings(make: Make) -> None:
    sandbox = make({"report.json": sarif(), "src/a.c": ""})
    [found] = await Command("scan", "echo noise >&2; cat report.json; exit 1").run(sandbox, ["src/a.c"])
    assert (found.path, found.start_line, found.line) == ("src/a.c", 3, 4)
    assert (found.title, found.severity, found.category) == ("Use after free", Severity.CRITICAL, "security")
    assert (found.source, found.rule) == ("scan", "R1")


async def test_a_code_quality_report_gives_findings(make: Make) -> None:
    issue = {
        "description": "Too deep",
        "check_name": "depth",
        "severity": "major",
        "location": {"path": "./src/a.c", "lines": {"begin": 7}},
    }
    [found] = await Command("cq", "cat report.json").run(make({"report.json": json.dumps([issue])}), ["src/a.c"])
    assert (found.path, found.line, found.severity, found.rule) == ("src/a.c", 7, Severity.MAJOR, "depth")


async def test_only_files_under_review_are_reported(make: Make) -> None:
    assert await Command("scan", "cat report.json").run(make({"report.json": sarif()}), ["src/other.c"]) == []


async def test_a_suppressed_result_is_told_as_suppressed(make: Make) -> None:
    sandbox = make({"report.json": sarif(suppressions=[{"kind": "inSource", "justification": "known"}])})
    [found] = await Command("scan", "cat report.json").run(sandbox, ["src/a.c"])
    assert found.suppressed == "known"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("true", "printed nothing"),
        ("echo hello", "printed no JSON, but: hello"),
        ('echo "{}"', "neither SARIF nor Code Quality"),
        ('echo "[1]"', "cannot be read"),
        ("""echo '{"runs": [{"results": [{}]}]}'""", "cannot be read"),
        ("no-such-program", "printed nothing and ended with exit code 127"),
    ],
)
async def test_a_report_that_cannot_be_used_says_so(make: Make, command: str, said: str) -> None:
    with pytest.raises(MergewrightError, match=said):
        await Command("scan", command).run(make({"a.c": ""}), ["a.c"])
