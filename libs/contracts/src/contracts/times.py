"""Instants as everybody outside sees them: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, PlainSerializer


def rfc3339(instant: datetime) -> str:
    """`2026-01-31T08:15:30.123Z`: UTC, exactly three fractional digits; raises ValueError for a naive datetime."""
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone means nothing to another machine")
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def now() -> datetime:
    """This instant in UTC, cut to the millisecond so that a value survives the trip over JSON unchanged."""
    instant = datetime.now(UTC)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


Instant = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
