"""The connection pool to Postgres, and what its errors mean to the notifier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kit import cancellation
from notifier.errors import StoreError, StoreMisconfigured, StoreRefused, StoreUnavailable
from notifier.settings import NotifierSettings

_CONNECT_TIMEOUT_S = 5.0
_IDLE_IN_TRANSACTION_MS = 15_000
"""A frozen process must not hold the inbox's lock, or its leases' rows, for longer."""

_NOT_MIGRATED = {"42P01", "3F000", "42703"}
"""undefined_table, invalid_schema_name, undefined_column"""
_NOT_FOR_US = {"28", "3D", "42"}
"""Classes: invalid authorization, invalid catalog name, syntax error or access rule violation."""


def open_engine(settings: NotifierSettings) -> AsyncEngine:
    """A pool that connects when first used; the password is no part of any URL that could be logged."""
    url = make_url(settings.database_url).set(drivername="postgresql+asyncpg")
    timeout_ms = int(settings.database_timeout_s * 1000)
    return create_async_engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=settings.database_timeout_s,
        hide_parameters=True,
        # After a restart of Postgres each pooled connection would fail somebody's first statement.
        pool_pre_ping=True,
        connect_args={
            "password": settings.database_password.get_secret_value() or None,
            "timeout": _CONNECT_TIMEOUT_S,
            # The server ends a slow statement; this ends the wait for a server that does not answer at all.
            "command_timeout": settings.database_timeout_s + 2,
            "server_settings": {
                "application_name": "notifier",
                "statement_timeout": str(timeout_ms),
                "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION_MS),
            },
        },
    )


_OF_THE_DRIVER = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Misused, or it has lost track of a connection that broke in the middle of something."""


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn whatever driver and pool raise into a `StoreError`, without the statement or its values."""
    try:
        yield
    except asyncio.CancelledError as stray:
        if cancellation.is_meant():
            raise
        raise StoreUnavailable("the driver gave up") from stray
    except DBAPIError as failed:
        cause = failed.orig.__cause__ if failed.orig is not None else None
        raise _meaning(cause or failed.orig or failed) from failed
    except (SQLAlchemyError, asyncpg.PostgresError, *_OF_THE_DRIVER, OSError, TimeoutError) as failed:
        # SQLAlchemy wraps what a statement raises, not what connecting raises.
        raise _meaning(failed) from failed


def _meaning(failed: BaseException) -> StoreError:
    state = getattr(failed, "sqlstate", None) or ""
    words = f"Postgres: {type(failed).__name__} {state}".rstrip()
    if state in _NOT_MIGRATED:
        return StoreMisconfigured("the tables are missing or old: run `python -m notifier migrate`")
    if state[:2] in _NOT_FOR_US:
        return StoreMisconfigured(words)
    # Class 22: data exceptions, 23: constraint violations; DataError: the driver could not even encode a value.
    if state[:2] in ("22", "23") or isinstance(failed, asyncpg.DataError):
        return StoreRefused(words)
    return StoreUnavailable(words)
