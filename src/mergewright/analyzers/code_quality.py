"""GitLab Code Quality reports. https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format"""

from collections.abc import Mapping, Sequence

from mergewright.analyzers.output import in_tree
from mergewright.domain.errors import MergewrightError
from mergewright.domain.review import Candidate, Severity
from mergewright.domain.session import JSON


def read(told: Sequence[JSON], *, source: str, root: str) -> Sequence[Candidate]:
    """Give every issue of a report; raises MergewrightError for one of another form."""
    try:
        return [_candidate(item, source, root) for item in told]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MergewrightError(
            f"the analyzer `{source}` printed a Code Quality report that cannot be read: {type(error).__name__} {error}"
        ) from error


def _candidate(item: Mapping[str, JSON], source: str, root: str) -> Candidate:
    place = item["location"]
    lines, positions = place.get("lines") or {}, place.get("positions") or {}
    begin = int(lines["begin"] if "begin" in lines else positions["begin"]["line"])
    end = int(lines.get("end") or (positions.get("end") or {}).get("line") or begin)
    text = str(item["description"]).strip()
    rule = str(item.get("check_name") or "")
    severity = str(item.get("severity") or "minor")
    categories = {str(name).lower() for name in item.get("categories") or ()}
    return Candidate(
        in_tree(str(place["path"]), root),
        max(begin, min(end, begin + 9)),
        Severity(severity) if severity in set(Severity) else Severity.MINOR,
        "security" if "security" in categories else "maintainability" if "style" in categories else "correctness",
        text.split("\n", 1)[0][:200],
        str((item.get("content") or {}).get("body") or text),
        start_line=begin,
        evidence=f"{source} {rule}: {text}"[:500],
        source=source,
        rule=rule,
    )
