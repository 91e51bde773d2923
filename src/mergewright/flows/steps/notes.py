"""What every text that we write to the forge ends with."""

from mergewright.flows.plain import code
from mergewright.flows.world import Work


def signature(work: Work) -> str:
    """Say which session wrote it, for whom, with which model."""
    session = work.session
    return f"<sub>mergewright session {code(session.id)}, for {code(session.actor)}, model {code(session.model)}</sub>"
