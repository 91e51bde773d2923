"""Ids of spans that follow from what they are about; imported only where traces are made."""

from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator


class DerivedIds(IdGenerator):
    """Gives the ids that were laid ready, or random ones; whoever lays one ready holds a lock until it is taken."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self.trace = 0
        self.span = 0

    def generate_trace_id(self) -> int:
        return self.trace or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        return self.span or self._random.generate_span_id()
