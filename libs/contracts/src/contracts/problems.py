"""Errors over HTTP as every service answers them: `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import Field

from contracts.codec import Contract
from contracts.codes import ErrorCode

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 1


class FieldProblem(Contract):
    """One field that was wrong."""

    field: str
    message: str


class Problem(Contract):
    """Body of every error. `code` is what a program branches on; docs/errors.md explains each."""

    type: str = Field(description="A URN that ends in the code.")
    title: str
    status: int
    code: ErrorCode
    detail: str
    request_id: str | None = Field(default=None, description="The same as in the header X-Request-Id.")
    errors: tuple[FieldProblem, ...] | None = None


def problem(
    code: ErrorCode,
    detail: str,
    *,
    request_id: str | None = None,
    status: int | None = None,
    errors: tuple[FieldProblem, ...] | None = None,
) -> Problem:
    """The problem for `code`, with its own status unless another is given."""
    status = status or code.status
    return Problem(
        type=f"urn:natter:error:{code.value}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        request_id=request_id,
        errors=errors,
    )


def problem_headers(status: int) -> dict[str, str]:
    """Headers that HTTP wants beside some statuses: when to come back, how to authenticate."""
    if status in (429, 503):
        return {"Retry-After": str(RETRY_AFTER_S)}
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    return {}
