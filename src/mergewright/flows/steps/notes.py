"""What every text that we write to the forge ends with."""

from mergewright.domain.plain import code
from mergewright.flows.world import Work


def signature(work: Work) -> str:
    """Say which session wrote it, for whom, with which model."""
    session = work.session
    kind, _, name = session.model.partition(":")
    # Where a recording lies on somebody's machine is nobody's business.
    model = f"{kind}:{name.rpartition('/')[2]}" if kind == "recorded" else session.model
    return f"<sub>mergewright session {code(session.id)}, for {code(session.actor)}, model {code(model)}</sub>"
