"""The kinds of operation that are counted apart, and which request is of which kind."""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    """What a rate is for."""

    SEND = "send"
    MARK_READ = "mark_read"
    TYPING = "typing"
    READ = "read"
    WRITE = "write"
    UPLOAD = "upload"
    PASSWORD = "password"  # noqa: S105 - the name of an operation
    """A password is tried, for one user."""
    PASSWORD_FROM_ADDRESS = "password_from_address"  # noqa: S105 - the name of an operation
    """The same, from one client address."""
    REFRESH_FROM_ADDRESS = "refresh_from_address"


def of_request(method: str, path: str) -> Operation:
    """The kind of an HTTP request."""
    if path == "/v1/auth/token":
        return Operation.PASSWORD_FROM_ADDRESS
    if path == "/v1/auth/refresh":
        return Operation.REFRESH_FROM_ADDRESS
    if path.startswith("/v1/devices/") and path.endswith("/unregister"):
        return Operation.REFRESH_FROM_ADDRESS
    if method in ("GET", "HEAD", "OPTIONS") or path == "/v1/presence/query":
        return Operation.READ
    last = path.rsplit("/", 1)[-1]
    match method, last:
        case ("POST", "messages" | "send" | "notes"):
            return Operation.SEND
        case ("POST", "typing"):
            return Operation.TYPING
        # Whoever comes back from an aeroplane has a screen full of pushes, each of which says that it is there.
        case ("PUT", "read") | ("POST", "ack"):
            return Operation.MARK_READ
        case ("POST", "attachments"):
            return Operation.UPLOAD
        case _:
            return Operation.WRITE


BY_ADDRESS = frozenset({Operation.PASSWORD_FROM_ADDRESS, Operation.REFRESH_FROM_ADDRESS})
"""Operations of somebody who is not known yet."""
