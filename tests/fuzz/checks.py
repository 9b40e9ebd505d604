"""Checks of our own, which schemathesis runs beside its own: it imports this file (`hooks` in its settings)."""

from __future__ import annotations

import atexit
import json
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis

from contracts.codes import ErrorCode
from contracts.problems import PROBLEM_JSON

MISTAKES = frozenset({ErrorCode.MALFORMED_JSON, ErrorCode.VALIDATION_FAILED, ErrorCode.UNSUPPORTED_MEDIA_TYPE})
"""Codes that say "the request is wrong". What fits the document is not."""

ABOUT_STATE = (
    "names no message of this conversation",
    "is a message of this conversation",
    "Only a consultant or a doctor can be given a consult",
    "attachment_id names no upload of yours",
    "cannot carry",
)
"""`validation_failed` about a body that points at something: the document cannot say what there is."""

BEYOND_SCHEMAS = (
    # Cursors are opaque, and documented as nothing else.
    "The cursor is not one of ours",
    # OpenAPI has no way to say that query parameters exclude one another.
    "Give only one of after_seq, before_seq and around_seq",
    # Free-form objects: how many bytes, how deep, and which texts however deep, no schema says.
    "must not exceed 4096 bytes of JSON",
    "must not be nested more than 32 levels deep",
    "no text in it may contain the NUL character",
    # Files: what the bytes are.
    "The file is none of the types that are taken here",
)
"""What a schema has no words for."""

_NAMED = "Problem, code: "


@schemathesis.check
def refused_for_a_reason(
    _ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """What fits the document is refused for what is the case, not as a mistake of whoever asked."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not _is_problem(response):
        return
    told = json.loads(response.content)
    if told["code"] not in MISTAKES:
        return
    sentences = [field["message"] for field in told.get("errors", ())] or [told["detail"]]
    unfounded = [one for one in sentences if not any(known in one for known in ABOUT_STATE + BEYOND_SCHEMAS)]
    if unfounded:
        raise AssertionError(f"fits the document, and was called a mistake: {unfounded}")


@schemathesis.check
def documented_code(
    _ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """A problem's code is one of those that the operation names for its status."""
    if not _is_problem(response):
        return
    documented: dict[str, Any] = case.operation.definition.raw["responses"]
    head, _, codes = documented.get(str(response.status_code), {}).get("description", "").partition(_NAMED)
    if not head and codes:
        code = json.loads(response.content)["code"]
        if code not in codes.split(", "):
            raise AssertionError(f"{response.status_code} says {code}; documented: {codes}")


STATUSES = Path("statuses.json")
"""Where a run leaves how often each status was answered, in the folder in which it runs."""

_statuses: Counter[int] = Counter()


@schemathesis.hook
def after_call(_ctx: schemathesis.HookContext, _case: schemathesis.Case[Any], response: schemathesis.Response) -> None:
    """Count: an attack that only ever hears 401 attacks nothing."""
    _statuses[response.status_code] += 1


atexit.register(lambda: STATUSES.write_text(json.dumps(_statuses)))


def _is_problem(response: schemathesis.Response) -> bool:
    # The answer to HEAD has none of it.
    return bool(response.content) and response.headers.get("content-type", [""])[0].startswith(PROBLEM_JSON)
