"""Every failure as `application/problem+json` (RFC 9457) with a stable `code` and the request's id."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from chat_api.commands.batcher import Overloaded
from chat_api.domain.errors import Refused
from chat_api.http.methods import allow
from chat_api.store.database import DatabaseUnavailable
from contracts.codec import encode
from contracts.codes import ErrorCode
from contracts.problems import PROBLEM_JSON, FieldProblem, problem, problem_headers
from kit.logs import Stage, logger

log = logger()


class ApiError(Exception):
    """An error that HTTP itself finds: authentication, size, method."""

    def __init__(self, code: ErrorCode, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers


def problem_response(
    code: ErrorCode,
    message: str,
    request_id: str,
    *,
    errors: tuple[FieldProblem, ...] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """The problem as a response, with the headers that go with its status."""
    answer = problem(code, message, request_id=request_id, errors=errors)
    return Response(encode(answer), answer.status, {**problem_headers(answer.status), **(headers or {})}, PROBLEM_JSON)


_HEADERS: dict[str, dict[str, Any]] = {
    "Retry-After": {
        "description": "Seconds after which to come again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "What kind of token is wanted.",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
    },
}
"""Those of `problem_headers`, as OpenAPI describes them."""


def problem_responses(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for the errors that an operation may answer with."""
    grouped: dict[int | str, list[str]] = {}
    for code in dict.fromkeys((*codes, ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE)):
        grouped.setdefault(code.status, []).append(code.value)
    return {
        status: {
            "description": "Problem, code: " + ", ".join(names),
            "headers": {name: _HEADERS[name] for name in problem_headers(int(status))},
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, names in grouped.items()
    }


def install(app: FastAPI) -> None:
    """Make every exception that leaves a route a problem."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return problem_response(error.code, error.message, _id(request))

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> Response:
        return problem_response(error.code, error.message, _id(request), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        found = error.errors()
        if any(item["type"] == "json_invalid" for item in found):
            return problem_response(ErrorCode.MALFORMED_JSON, "The body is not valid JSON.", _id(request))
        fields = tuple(
            FieldProblem(field=".".join(str(part) for part in item["loc"]), message=item["msg"]) for item in found
        )
        return problem_response(
            ErrorCode.VALIDATION_FAILED, "Some fields are missing or wrong.", _id(request), errors=fields
        )

    @app.exception_handler(DatabaseUnavailable)
    async def away(request: Request, error: DatabaseUnavailable) -> Response:
        log.warning("request failed: Postgres is away", stage=Stage.LIFECYCLE, detail=str(error))
        return problem_response(ErrorCode.UNAVAILABLE, "The service is not available right now.", _id(request))

    @app.exception_handler(Overloaded)
    async def overloaded(request: Request, _error: Overloaded) -> Response:
        return problem_response(ErrorCode.UNAVAILABLE, "Too many messages are waiting.", _id(request))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}.get(error.status_code)
        if code is None:
            # Starlette raises 400 for a body that it cannot read.
            code = ErrorCode.MALFORMED_JSON if error.status_code == 400 else ErrorCode.INTERNAL
        headers = dict(error.headers or {})
        if code is ErrorCode.METHOD_NOT_ALLOWED and (all_of_them := allow(app.openapi()["paths"], request.url.path)):
            headers["Allow"] = all_of_them
        return problem_response(code, str(error.detail), _id(request), headers=headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log.error("request failed", stage=Stage.LIFECYCLE, request_id=_id(request), exc_info=error)
        # This handler runs outside the middleware that adds the id to every other answer.
        headers = {"X-Request-Id": _id(request)}
        return problem_response(ErrorCode.INTERNAL, "Something broke on our side.", _id(request), headers=headers)


def _id(request: Request) -> str:
    return str(request.scope.get("natter.request_id", ""))
