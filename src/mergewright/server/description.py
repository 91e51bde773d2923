"""What the OpenAPI description says beyond what the routes say themselves."""

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mergewright.domain.session import JSON
from mergewright.server.duo_models import NewWorkflow
from mergewright.server.problems import GITLAB, MEDIA

ABOUT = """\
Sessions, reviews, findings, policy, audit and metrics of this server, and GitLab's flows API as its clients know it.

Send a token of GitLab's, personal or of an application, as `Authorization: Bearer …` or `PRIVATE-TOKEN: …`. What you
may see and do is what GitLab lets you; to begin and steer sessions takes the scope `api` or `ai_workflows`.
"""
PROOFS = {"authorization", "private-token"}
"""Headers that are no parameters, but the proof of who asks."""
SCHEMES: dict[str, JSON] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of GitLab's"},
    "privateToken": {"type": "apiKey", "in": "header", "name": "PRIVATE-TOKEN", "description": "A token of GitLab's"},
}


def describe(app: FastAPI) -> None:
    """Have an application describe itself whole: its errors with their media type, and who may ask."""

    def description() -> dict[str, JSON]:
        if app.openapi_schema is None:
            told = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
            schemas = told["components"]["schemas"]
            body = NewWorkflow.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= body.pop("$defs", {}) | {"NewWorkflow": body}
            told["components"]["securitySchemes"] = SCHEMES
            told["security"] = [{name: []} for name in SCHEMES]
            for path, verbs in told["paths"].items():
                for route in verbs.values():
                    _complete(path, route)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            app.openapi_schema = told
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign] # FastAPI's own way to change it


def _complete(path: str, route: dict[str, JSON]) -> None:
    if found := route.get("parameters"):
        route["parameters"] = [one for one in found if one["name"].lower() not in PROOFS]
    answers = route["responses"]
    if path.startswith(GITLAB):
        # What is wrong there is a bad request.
        answers.pop("422", None)
    media = "application/json" if path.startswith(GITLAB) else MEDIA
    for status, answer in answers.items():
        if int(status) >= 400 and answer.get("content"):
            answer["content"] = {media: next(iter(answer["content"].values()))}
