"""Each code has everything that a program branches on."""

from __future__ import annotations

import ast
import inspect
import itertools

import pytest

from contracts import codes
from contracts.codes import CloseCode, ErrorCode

NAMED_BY_RFC_6455 = {"NORMAL", "GOING_AWAY", "PROTOCOL_ERROR", "INVALID_TEXT", "MESSAGE_TOO_BIG", "INTERNAL_ERROR"}


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_code_has_a_status(code: ErrorCode) -> None:
    """A code without an HTTP status could not be answered."""
    assert 400 <= code.status <= 599


@pytest.mark.parametrize("code", list(ErrorCode))
def test_error_codes_are_snake_case(code: ErrorCode) -> None:
    """A code is written once, the same in JSON and in Python."""
    assert code.value == code.name.lower()


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        (ErrorCode.UNAVAILABLE, True),
        (ErrorCode.RATE_LIMITED, True),
        (ErrorCode.TIMEOUT, True),
        (ErrorCode.INTERNAL, True),
        (ErrorCode.IDEMPOTENCY_CONFLICT, False),
        (ErrorCode.VALIDATION_FAILED, False),
        (ErrorCode.UNAUTHENTICATED, False),
        (ErrorCode.NOT_FOUND, False),
    ],
)
def test_retry_is_told(code: ErrorCode, retry: bool) -> None:
    """Only trouble that may pass is worth the same request again."""
    assert code.retry is retry


COME_BACK = {
    CloseCode.NORMAL: False,
    CloseCode.GOING_AWAY: True,
    CloseCode.PROTOCOL_ERROR: True,
    CloseCode.INVALID_TEXT: True,
    CloseCode.MESSAGE_TOO_BIG: True,
    CloseCode.INTERNAL_ERROR: True,
    CloseCode.DRAINING: True,
    CloseCode.BAD_FRAME: False,
    CloseCode.UNAUTHENTICATED: False,
    CloseCode.FORBIDDEN: False,
    CloseCode.TOO_SLOW: True,
    CloseCode.REPLACED: False,
    CloseCode.FRAME_TOO_BIG: False,
    CloseCode.TOO_MANY: True,
}


def test_every_close_code_is_decided_here() -> None:
    """A new close code needs a decision, so it needs a line in this table."""
    assert set(COME_BACK) == set(CloseCode)


@pytest.mark.parametrize(("code", "come_back"), COME_BACK.items())
def test_come_back_is_told(code: CloseCode, come_back: bool) -> None:
    """Whether a client returns with the same token does not change by accident."""
    assert code.come_back is come_back


@pytest.mark.parametrize("code", [code for code in CloseCode if 4400 <= code < 4408])
def test_44xx_below_4408_mean_do_not_come_back(code: CloseCode) -> None:
    """The same token will not be let in again."""
    assert not code.come_back


def test_every_own_close_code_explains_itself() -> None:
    """What RFC 6455 does not name, a sentence below the member does."""
    tree = ast.parse(inspect.getsource(codes))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "CloseCode").body
    explained = set()
    for member, below in itertools.pairwise(body):
        if (
            isinstance(member, ast.Assign)
            and isinstance(member.targets[0], ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            explained.add(member.targets[0].id)
    assert {code.name for code in CloseCode} - NAMED_BY_RFC_6455 == explained
