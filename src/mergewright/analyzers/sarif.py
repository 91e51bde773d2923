"""SARIF 2.1, the format in which most analyzers can report. https://docs.oasis-open.org/sarif/sarif/v2.1.0/"""

from collections.abc import Iterator, Mapping, Sequence

from mergewright.analyzers.output import in_tree
from mergewright.domain.errors import MergewrightError
from mergewright.domain.review import Candidate, Severity
from mergewright.domain.session import JSON

_LEVELS = {"error": Severity.CRITICAL, "warning": Severity.MAJOR, "note": Severity.MINOR, "none": Severity.INFO}
MOST_LINES = 10
"""Lines of a finding's range; an analyzer may name a whole function."""


def read(told: Mapping[str, JSON], *, source: str, root: str) -> Sequence[Candidate]:
    """Give every result that names a file of the work tree; raises MergewrightError for a report of another form."""
    try:
        return [one for part in told["runs"] for one in _run(part, source, root)]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise MergewrightError(
            f"the analyzer `{source}` printed SARIF that cannot be read: {type(error).__name__} {error}"
        ) from error


def _run(run: Mapping[str, JSON], source: str, root: str) -> Iterator[Candidate]:
    driver = run["tool"]["driver"]
    components = [driver, *(run["tool"].get("extensions") or ())]
    rules = {rule["id"]: rule for part in components for rule in part.get("rules") or ()}
    for result in run.get("results") or ():
        if result.get("kind", "fail") != "fail" or result.get("baselineState") == "absent":
            continue
        listed = driver.get("rules") or ()
        index = result.get("ruleIndex", -1)
        named = listed[index]["id"] if 0 <= index < len(listed) else ""
        rule_id = str(result.get("ruleId") or (result.get("rule") or {}).get("id") or named)
        rule = rules.get(rule_id, {})
        for location in (result.get("locations") or ())[:1]:
            yield _candidate(result, rule, rule_id, location["physicalLocation"], source, root)


def _candidate(
    result: Mapping[str, JSON],
    rule: Mapping[str, JSON],
    rule_id: str,
    place: Mapping[str, JSON],
    source: str,
    root: str,
) -> Candidate:
    region = place.get("region") or {}
    start = int(region.get("startLine") or 0)
    end = int(region.get("endLine") or start)
    if end > start and region.get("endColumn") == 1:
        end -= 1
    message = _text(result.get("message"))
    title = _text(rule.get("shortDescription")) or message.split("\n", 1)[0]
    help_text = _text(rule.get("fullDescription"))
    silenced = [one for one in result.get("suppressions") or () if one.get("status") in {None, "accepted"}]
    return Candidate(
        in_tree(str(place["artifactLocation"]["uri"]), root),
        min(end, start + MOST_LINES - 1),
        _severity(result, rule),
        "security" if _is_security(rule) else "correctness",
        title[:200],
        "\n\n".join(dict.fromkeys(part for part in (message, help_text) if part)),
        start_line=start,
        evidence=f"{source} {rule_id}: {message}"[:500],
        source=source,
        rule=rule_id,
        suppressed=str(silenced[0].get("justification") or silenced[0].get("kind") or "suppressed") if silenced else "",
    )


def _severity(result: Mapping[str, JSON], rule: Mapping[str, JSON]) -> Severity:
    """A security score says more than a level: 9 and up is a blocker, as code scanning services read it."""
    score = (rule.get("properties") or {}).get("security-severity")
    if score is not None:
        value = float(score)
        bounds = ((9.0, Severity.BLOCKER), (7.0, Severity.CRITICAL), (4.0, Severity.MAJOR), (0.1, Severity.MINOR))
        return next((severity for least, severity in bounds if value >= least), Severity.INFO)
    level = result.get("level") or (rule.get("defaultConfiguration") or {}).get("level") or "warning"
    return _LEVELS.get(str(level), Severity.MAJOR)


def _is_security(rule: Mapping[str, JSON]) -> bool:
    properties = rule.get("properties") or {}
    tags = {str(tag).lower() for tag in properties.get("tags") or ()}
    return "security-severity" in properties or "security" in tags


def _text(message: JSON) -> str:
    return str((message or {}).get("text") or (message or {}).get("markdown") or "").strip()
