"""A command that a project's policy names, and whatever report it prints."""

from collections.abc import Sequence

from mergewright.analyzers import code_quality, sarif
from mergewright.analyzers.output import report, run
from mergewright.domain.errors import MergewrightError
from mergewright.domain.review import Candidate
from mergewright.domain.sandbox import Sandbox


class Command:
    """Any program that prints SARIF or GitLab Code Quality JSON."""

    def __init__(self, name: str, command: str) -> None:
        self.name = name
        self._command = command

    def reads(self, path: str) -> bool:
        # What it looks at is the project's own affair.
        return True

    async def run(self, sandbox: Sandbox, paths: Sequence[str]) -> Sequence[Candidate]:
        # Most analyzers end with 1 when they have found something: the report alone says whether it worked.
        result, data = await run(sandbox, self._command, name=self.name)
        if not data.strip():
            raise MergewrightError(
                f"the analyzer `{self.name}` printed nothing and ended with exit code {result.exit_code}",
                hint="its command must print SARIF or Code Quality JSON to standard output",
            )
        told = report(data, name=self.name)
        if isinstance(told, dict) and isinstance(told.get("runs"), list):
            found = sarif.read(told, source=self.name, root=str(sandbox.root))
        elif isinstance(told, list):
            found = code_quality.read(told, source=self.name, root=str(sandbox.root))
        else:
            raise MergewrightError(f"the analyzer `{self.name}` printed neither SARIF nor Code Quality JSON")
        wanted = set(paths)
        return [one for one in found if one.path in wanted]
