"""The OpenAPI document, as `/docs` shows it; `published` writes it into a file."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chat_api.http.examples import example
from chat_api.http.links import add_links
from contracts.codes import ErrorCode
from contracts.problems import PROBLEM_JSON, Problem, problem

JSON = "application/json"
SUMMARY_CHARS_MAX = 120
METHODS = ("get", "put", "post", "patch", "delete", "head")


def document(app: FastAPI) -> dict[str, Any]:
    """What FastAPI knows of the routes, and what it cannot know: summaries, who needs a token, examples, links."""
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schema["info"]["license"] = {"name": "Apache-2.0"}
    own = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.setdefault("components", {}).setdefault("schemas", {})
    parts.update(own.pop("$defs", {}))
    parts["Problem"] = own
    # Every 422 of ours is a Problem; FastAPI's own shape never leaves this service.
    for unused in ("HTTPValidationError", "ValidationError"):
        parts.pop(unused, None)
    schema["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    for path in schema["paths"].values():
        for method in METHODS:
            if method in path:
                _complete(path[method], parts)
    add_links(schema["paths"])
    return schema


def _complete(operation: dict[str, Any], parts: dict[str, Any]) -> None:
    told = operation.get("description", "")
    if told:
        sentence = " ".join(told.split()).split(". ")[0].rstrip(".")
        operation["summary"] = sentence if len(sentence) < SUMMARY_CHARS_MAX else sentence.split(": ")[0]
    responses = operation["responses"]
    if _answers(responses, ErrorCode.UNAUTHENTICATED):
        operation.setdefault("security", [{"bearer": []}])
    body = operation.get("requestBody", {}).get("content", {})
    if JSON in body:
        body[JSON].setdefault("example", example(body[JSON]["schema"], parts, sparse=True))
    for status, response in responses.items():
        content = response.get("content", {})
        if JSON in content and status.startswith("2"):
            content[JSON].setdefault("example", example(content[JSON].get("schema", {}), parts))
        if PROBLEM_JSON in content:
            content[PROBLEM_JSON]["examples"] = {
                code.value: {
                    "value": problem(code, "What went wrong, for a person.").model_dump(mode="json", exclude_none=True)
                }
                for code in _codes(response)
            }


def _answers(responses: dict[str, Any], code: ErrorCode) -> bool:
    return any(code in _codes(response) for response in responses.values())


def _codes(response: dict[str, Any]) -> list[ErrorCode]:
    """The codes that `problem_responses` has named."""
    head, _, names = response.get("description", "").partition("Problem, code: ")
    return [] if head else [ErrorCode(name) for name in names.split(", ") if name]
