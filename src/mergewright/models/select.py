"""Choosing a model by its name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mergewright.domain.agent import Model
from mergewright.domain.errors import WrongUse
from mergewright.models.chat import OPENAI, ChatModel
from mergewright.models.cost import Price, pricing
from mergewright.models.forms import FORMS
from mergewright.models.retry import Retrying

_CHAT = frozenset({"openai", "openai-chat", "local"})
LOCAL = "http://127.0.0.1:11434/v1"
"""Where `local:` models are looked for when no base URL is given: Ollama's address."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How a model is reached, and how much patience it gets."""

    base_url: str = ""
    """Where the server's API begins; empty for the provider's own."""
    api_key: str = field(default="", repr=False)
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    silence: float = 120.0
    """Seconds without a byte until a request counts as failed."""
    retries: int = 6
    """How many more times a request is tried after a passing fault."""
    max_output_tokens: int | None = None
    price: Price | None = None
    """None for the provider's list price, where it is known."""
    on_wait: Callable[[str], None] | None = None
    """Told in a sentence why a request is tried again, and when."""


def open_model(name: str, settings: ModelSettings, *, record: Path | None = None) -> Model:
    """Give the model of this name, behind the one retry layer; with `record`, each exchange is written to that file."""
    kind, _, rest = name.partition(":")
    if not kind or not rest:
        raise WrongUse(f"`{name}` names no model", hint=FORMS)
    model: Model = Retrying(_open(name, kind, rest, settings), retries=settings.retries, on_wait=settings.on_wait)
    if record is None:
        return model
    from mergewright.models.recording import Recording

    return Recording(model, record, secrets=(settings.api_key, *settings.extra_headers.values()))


def load(name: str) -> None:
    """Import what a model of this name is asked with, as it takes its time; opening the model loads all else."""
    if name.partition(":")[0] in _CHAT:
        import httpx2  # noqa: F401


def _open(name: str, kind: str, rest: str, settings: ModelSettings) -> Model:
    if kind == "recorded":
        from mergewright.models.replay import Recorded

        return Recorded(Path(rest))
    if kind in _CHAT:
        return _open_chat(name, kind, rest, settings)
    from mergewright.models.providers import open_provider

    return open_provider(
        kind,
        rest,
        base_url=settings.base_url,
        api_key=settings.api_key,
        silence=settings.silence,
        extra_headers=settings.extra_headers,
        max_output_tokens=settings.max_output_tokens,
        price=settings.price,
    )


def _open_chat(name: str, kind: str, model: str, settings: ModelSettings) -> Model:
    base_url = settings.base_url or (LOCAL if kind == "local" else OPENAI)
    hosted = base_url.rstrip("/") == OPENAI
    if hosted and not settings.api_key:
        raise WrongUse(
            f"`{name}` needs an API key", hint="set `OPENAI_API_KEY`, or `OPENAI_BASE_URL` for another server"
        )
    return ChatModel(
        name,
        model,
        base_url=base_url,
        api_key=settings.api_key,
        silence=settings.silence,
        extra_headers=settings.extra_headers,
        max_output_tokens=settings.max_output_tokens,
        priced=pricing(settings.price, provider="openai" if hosted else "", model=model),
    )
