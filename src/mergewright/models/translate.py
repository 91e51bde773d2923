"""pydantic-ai's errors in our words."""

import json
import time

from pydantic_ai import exceptions as pai

from mergewright.domain.errors import ContextOverflow, ModelError, ModelRefused
from mergewright.models.faults import PassingFault, answer_fault
from mergewright.models.redact import clip, redact


def provider_fault(error: pai.AgentRunError, *, server: str, key: str) -> ModelError:
    """Say what a failed request means: try again, ask for less, or give up."""
    said = clip(redact(error.message if isinstance(error, pai.ModelAPIError) else str(error), key))
    if isinstance(error, pai.ModelContextWindowExceededError):
        return ContextOverflow(f"The conversation is longer than the model takes: {said}")
    if isinstance(error, pai.ModelQuotaExceededError):
        return ModelRefused(
            f"{server} says that the account's credit is used up: {said}", hint="add credit, or choose another model"
        )
    if isinstance(error, pai.ModelTimeoutError | pai.ModelRequestTimeout):
        return PassingFault(f"{server} was silent for too long: {said}", silent=True)
    if isinstance(error, pai.ModelHTTPError):
        body = error.body if isinstance(error.body, str) else json.dumps(error.body, default=str)
        fault = answer_fault(error.status_code, body, error.headers or {}, server=server, now=time.time(), key=key)
        if isinstance(fault, PassingFault) and fault.wait is None:
            fault.wait = error.retry_after
        return fault
    if isinstance(error, pai.ContentFilterError):
        return ModelRefused(f"{server} stopped the answer by its content filter")
    if isinstance(error, pai.ModelRequestRejectedError):
        return ModelRefused(f"{server} refused the request: {said}")
    if isinstance(error, pai.ModelAPIError):
        return PassingFault(f"{server} failed: {said}", wait=error.retry_after)
    return PassingFault(f"{server} answered with something unexpected: {said}")
