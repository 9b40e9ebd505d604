"""docs/openapi.json is what chat-api answers to, and it is complete: summaries, errors, examples that fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chat_api.http.openapi import METHODS, SUMMARY_CHARS_MAX, document
from chat_api.http.published import bare_app, text
from contracts.codes import ErrorCode
from contracts.problems import PROBLEM_JSON

from .pages import ROOT

APP = bare_app()
DOCUMENT = document(APP)
JSON = "application/json"
REGENERATE = "run `python -m chat_api.http.published docs/openapi.json`, and commit what changed"
WITHOUT_TOKEN = {"/v1/auth/token", "/v1/auth/refresh", "/v1/devices/{id}/unregister"}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """`METHOD path` and what the document says of it."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


each_operation = pytest.mark.parametrize(
    ("name", "operation"), list(operations()), ids=lambda one: one if isinstance(one, str) else ""
)


def codes(operation: dict[str, Any]) -> set[str]:
    """Every error code that an operation names."""
    return {
        code
        for response in operation["responses"].values()
        for code in response.get("content", {}).get(PROBLEM_JSON, {}).get("examples", {})
    }


def test_the_published_document_is_up_to_date() -> None:
    """A route that changes shows up in the document, in the same commit."""
    assert (ROOT / "docs" / "openapi.json").read_text() == text(APP), REGENERATE


def test_its_numbers_are_exact() -> None:
    """A bound that no double holds is another bound for whoever reads the document."""

    def numbers(node: Any) -> Iterator[float]:
        if isinstance(node, dict):
            node = list(node.values())
        if isinstance(node, list):
            for inner in node:
                yield from numbers(inner)
        elif isinstance(node, (int, float)):
            yield node

    assert [number for number in numbers(DOCUMENT) if abs(number) >= 2**53] == []


@each_operation
def test_it_has_a_summary(name: str, operation: dict[str, Any]) -> None:
    """A line for whoever looks for a call, and it is not the function's name."""
    assert operation.get("description"), name
    assert len(operation["summary"]) > 10
    assert len(operation["summary"]) <= SUMMARY_CHARS_MAX


@each_operation
def test_it_lists_its_errors(name: str, operation: dict[str, Any]) -> None:
    """Who is not let in, what is wrong with the request, and that the service may be away."""
    found = codes(operation)
    method, path = name.split()
    wanted = {ErrorCode.UNAVAILABLE}
    if path not in WITHOUT_TOKEN:
        wanted |= {ErrorCode.UNAUTHENTICATED, ErrorCode.TOKEN_EXPIRED}
        assert operation["security"] == [{"bearer": []}]
    if "requestBody" in operation:
        wanted |= {ErrorCode.VALIDATION_FAILED, ErrorCode.PAYLOAD_TOO_LARGE}
    if JSON in operation.get("requestBody", {}).get("content", {}):
        wanted |= {ErrorCode.MALFORMED_JSON}
    if any(one["in"] in ("query", "path") for one in operation.get("parameters", ())):
        wanted |= {ErrorCode.VALIDATION_FAILED}
    assert {code.value for code in wanted} <= found, method
    assert found <= {code.value for code in ErrorCode}


@each_operation
def test_its_examples_fit(name: str, operation: dict[str, Any]) -> None:
    """Each body and each answer has one, and it is what its schema allows."""
    told = [operation["requestBody"]] if "requestBody" in operation else []
    told += [response for status, response in operation["responses"].items() if status.startswith("2")]
    for one in told:
        content = one.get("content", {}).get(JSON)
        if content is None:
            continue
        assert "example" in content, name
        # jsonschema resolves `#/components/…` within the schema that it is given.
        validator = Draft202012Validator({**content["schema"], "components": DOCUMENT["components"]})
        assert [error.message for error in validator.iter_errors(content["example"])] == []
        assert content["example"] != {}, name


def test_links_lead_somewhere() -> None:
    """Each names a call that there is, a parameter that it takes, and a field that the answer with the link has."""
    named = {operation["operationId"]: operation for _, operation in operations()}
    followed = 0
    for name, operation in operations():
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                ((parameter, expression),) = link["parameters"].items()
                taken = {one["name"] for one in named[link["operationId"]]["parameters"]}
                assert parameter in taken, name
                found = response["content"][JSON]["example"]
                for part in expression.removeprefix("$response.body#/").split("/"):
                    found = found[part]
                assert isinstance(found, str), name
                followed += 1
    assert followed > 20


@each_operation
def test_an_answer_has_a_shape(name: str, operation: dict[str, Any]) -> None:
    """No operation answers 2xx with something that the document does not describe."""
    for status, response in operation["responses"].items():
        if status in ("204", "202", "304") or not status.startswith("2") or JSON not in response.get("content", {}):
            continue
        assert response["content"][JSON]["schema"], name


def test_every_post_takes_an_idempotency_key_or_needs_none() -> None:
    """PROTOCOL.md: every POST takes `Idempotency-Key`; asking and typing change nothing that a repeat could repeat."""
    harmless = {
        "/v1/auth/token",
        "/v1/auth/refresh",
        "/v1/auth/logout",
        "/v1/presence/query",
        # The same twice is the same once: a device has its own id, a push its own, a dead letter is dead once.
        "/v1/devices",
        "/v1/devices/{id}/unregister",
        "/v1/pushes/{push_id}/ack",
        "/v1/admin/pushes/dead/replay",
        "/v1/admin/pushes/dead/drop",
    }
    missing = [
        name
        for name, operation in operations()
        if name.startswith("POST ")
        and name.split()[1] not in harmless
        and not name.endswith("/typing")
        and "Idempotency-Key" not in {one["name"] for one in operation.get("parameters", ())}
    ]
    assert missing == []
