"""Every other provider, through pydantic-ai, which is loaded only when one is asked for."""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from mergewright.domain.agent import Message, Reply, Role, ToolCall, ToolSpec
from mergewright.domain.errors import ModelRefused, WrongUse
from mergewright.domain.session import Usage
from mergewright.models.cost import Price
from mergewright.models.faults import PassingFault
from mergewright.models.forms import FORMS
from mergewright.models.loops import PerLoop

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model as ProviderModel
    from pydantic_ai.providers import Provider
    from pydantic_ai.settings import ModelSettings as ProviderSettings

KEYLESS = frozenset({"ollama", "vllm", "litellm", "bedrock", "bedrock-mantle", "google-cloud"})
"""Providers that may do without a key, or that find their credentials their own way."""

CACHES: Mapping[str, Mapping[str, Any]] = {
    "anthropic": {
        "anthropic_cache": True,
        "anthropic_cache_instructions": True,
        "anthropic_cache_tool_definitions": True,
    }
}
"""What switches on the cache of a provider that does not cache by itself."""


def open_provider(
    kind: str,
    model: str,
    *,
    base_url: str,
    api_key: str,
    silence: float,
    extra_headers: Mapping[str, str],
    max_output_tokens: int | None,
    price: Price | None,
) -> "PydanticModel":
    """Give a model by its provider's name; raises WrongUse where provider, package or key is missing."""
    provider = _provider_class(kind)
    options = _options(kind, provider, base_url=base_url, api_key=api_key)
    settings: dict[str, Any] = {"timeout": silence, "max_retries": 0, **CACHES.get(kind, {})}
    if extra_headers:
        settings["extra_headers"] = dict(extra_headers)
    if max_output_tokens:
        settings["max_tokens"] = max_output_tokens

    def build() -> "ProviderModel":
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model

        try:
            return infer_model(f"{kind}:{model}", provider_factory=lambda _: provider(**options))
        except UserError as error:
            raise WrongUse(f"`{kind}:{model}` cannot be used: {error}") from error
        except ImportError as error:
            raise _missing_package(kind, error) from error

    return PydanticModel(f"{kind}:{model}", PerLoop(build), settings, price=price, key=api_key)


class PydanticModel:
    """A model that pydantic-ai knows how to speak to."""

    def __init__(
        self,
        name: str,
        models: PerLoop["ProviderModel"],
        settings: Mapping[str, Any],
        *,
        price: Price | None = None,
        key: str = "",
    ) -> None:
        self.name = name
        self._models = models
        self._settings = settings
        self._price = price
        self._key = key

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.tools import ToolDefinition

        model = self._models.get()
        wanted = [
            ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=dict(tool.parameters))
            for tool in tools
        ]
        with self._faults():
            # Streamed, so that silence is noticed while a long answer is not mistaken for it.
            async with model.request_stream(
                to_provider(messages), self._settings_for(model), ModelRequestParameters(function_tools=wanted)
            ) as stream:
                async for _ in stream:
                    pass
            return self._reply(stream.get())

    async def close(self) -> None:
        model = self._models.take()
        if model is not None:
            # Entering and leaving is how pydantic-ai closes the connections that it opened.
            async with model:
                pass

    def _settings_for(self, model: "ProviderModel") -> "ProviderSettings":
        settings = {name: value for name, value in self._settings.items() if name not in model.unsupported_settings}
        return cast("ProviderSettings", settings)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        from pydantic_ai.exceptions import AgentRunError, UserError

        from mergewright.models.translate import provider_fault

        try:
            yield
        except AgentRunError as error:
            raise provider_fault(error, server=self.name.partition(":")[0], key=self._key) from error
        except UserError as error:
            raise WrongUse(f"`{self.name}` cannot do this: {error}") from error

    def _reply(self, response: "ModelResponse") -> Reply:
        if response.finish_reason == "content_filter":
            raise ModelRefused(f"`{self.name}` stopped the answer by its content filter")
        if response.finish_reason is None:
            raise PassingFault(f"`{self.name}` cut its answer off in the middle")
        counted = response.usage
        usage = Usage(1, counted.input_tokens, counted.output_tokens, counted.cache_read_tokens)
        usage = replace(usage, cost=self._price.cost(usage) if self._price else _list_price(response))
        return Reply(from_provider(response), usage, cut=response.finish_reason == "length")


def to_provider(messages: Sequence[Message]) -> "list[ModelMessage]":
    """Put a conversation into pydantic-ai's messages: what lies between two replies is one request."""
    from pydantic_ai.messages import (
        ModelMessagesTypeAdapter,
        ModelRequest,
        ModelResponse,
        SystemPromptPart,
        TextPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )

    names = {call.id: call.name for message in messages for call in message.tool_calls}
    result: list[ModelMessage] = []
    for message in messages:
        if message.role is Role.ASSISTANT:
            if message.provider:
                result += ModelMessagesTypeAdapter.validate_json(message.provider)
                continue
            text = [TextPart(message.text)] if message.text else []
            calls = [ToolCallPart(call.name, call.arguments, call.id) for call in message.tool_calls]
            result.append(ModelResponse(parts=[*text, *calls]))
            continue
        part: SystemPromptPart | ToolReturnPart | UserPromptPart
        if message.role is Role.SYSTEM:
            part = SystemPromptPart(message.text)
        elif message.role is Role.TOOL:
            part = ToolReturnPart(names.get(message.call_id, ""), message.text, message.call_id)
        else:
            part = UserPromptPart(message.text)
        last = result[-1] if result else None
        if isinstance(last, ModelRequest):
            last.parts = [*last.parts, part]
        else:
            result.append(ModelRequest(parts=[part]))
    return result


def from_provider(response: "ModelResponse") -> Message:
    """Read a reply; thoughts are kept only where the provider wants them back."""
    from pydantic_ai.messages import ModelMessagesTypeAdapter, TextPart, ToolCallPart
    from pydantic_ai.usage import RequestUsage

    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    calls = tuple(
        ToolCall(part.tool_call_id, part.tool_name, part.args_as_json_str())
        for part in response.parts
        if isinstance(part, ToolCallPart)
    )
    plain = all(isinstance(part, TextPart | ToolCallPart) and not part.provider_details for part in response.parts)
    provider = ""
    if not plain:
        kept = json.loads(ModelMessagesTypeAdapter.dump_json([replace(response, usage=RequestUsage())]))
        provider = json.dumps(kept, separators=(",", ":"))
    return Message(Role.ASSISTANT, text, calls, provider=provider)


def _list_price(response: "ModelResponse") -> float | None:
    if not response.model_name:
        return None
    try:
        return float(response.cost().total_price)
    except (LookupError, ValueError):
        return None


def _provider_class(kind: str) -> "type[Provider[Any]]":
    from pydantic_ai.providers import infer_provider_class

    try:
        return infer_provider_class(kind)
    except ImportError as error:
        raise _missing_package(kind, error) from error
    except ValueError as error:
        raise WrongUse(f"There is no provider `{kind}`", hint=FORMS) from error


def _missing_package(kind: str, error: ImportError) -> WrongUse:
    # The hint names the extra, as in: pip install "pydantic-ai-slim[google]"
    return WrongUse(f"The package for `{kind}` models is not installed", hint=" ".join(str(error).split()))


def _options(kind: str, provider: "type[Provider[Any]]", *, base_url: str, api_key: str) -> dict[str, str]:
    accepted = inspect.signature(provider).parameters
    options: dict[str, str] = {}
    if api_key:
        options["api_key"] = api_key
    elif "api_key" in accepted and kind not in KEYLESS:
        name = "ANTHROPIC_API_KEY" if kind == "anthropic" else "MERGEWRIGHT_MODEL_API_KEY"
        raise WrongUse(f"`{kind}` models need an API key", hint=f"set `{name}`")
    if base_url:
        where = next((name for name in ("base_url", "azure_endpoint", "api_base") if name in accepted), None)
        if where is None:
            raise WrongUse(f"`{kind}` models are reached at their own address only", hint="leave the base URL out")
        options[where] = base_url
    return options
