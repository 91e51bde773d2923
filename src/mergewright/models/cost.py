"""What a request cost."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mergewright.domain.session import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float
    cached: float | None = None
    """For input read from the provider's cache; the price of input when None."""

    def cost(self, usage: Usage) -> float:
        cached = self.input if self.cached is None else self.cached
        fresh = usage.input_tokens - usage.cached_tokens
        return (fresh * self.input + usage.cached_tokens * cached + usage.output_tokens * self.output) / 1_000_000


Pricing = Callable[[Usage], Usage]
"""Fills in the cost of a usage, where it can."""


def pricing(price: Price | None, *, provider: str = "", model: str = "") -> Pricing:
    """Choose how requests are priced: by the given price, by the provider's published one, or not at all."""
    if price is not None:
        return lambda usage: replace(usage, cost=price.cost(usage))
    if not provider:
        return lambda usage: usage
    return lambda usage: replace(usage, cost=_published(usage, provider, model))


def _published(usage: Usage, provider: str, model: str) -> float | None:
    # Its tables take most of a second to load, which only a session on a hosted model pays.
    from genai_prices import Usage as Counted
    from genai_prices import calc_price

    counted = Counted(
        input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cache_read_tokens=usage.cached_tokens
    )
    try:
        return float(calc_price(counted, model, provider_id=provider).total_price)
    except LookupError:
        return None
