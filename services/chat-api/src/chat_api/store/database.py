"""The pool of connections to Postgres, and what its failures mean to a caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from chat_api.commands.ports import StoreUnavailable
from kit import cancellation
from kit.settings import DatabaseSettings


class DatabaseUnavailable(StoreUnavailable):
    """Postgres cannot be reached, or has no connection to spare: the same request may succeed later."""


def create_engine(settings: DatabaseSettings, application_name: str, *, patient: bool = False) -> AsyncEngine:
    """A pool that opens connections when they are needed; the password stays out of every URL.

    The statements of a `patient` one take as long as they take: for work on whole tables.
    """
    url = make_url(settings.database_url).set(drivername="postgresql+asyncpg")
    return create_async_engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        # An error that is logged must not bring the messages of a statement into the log.
        hide_parameters=True,
        pool_timeout=settings.database_timeout_s,
        connect_args={
            "password": settings.database_password.get_secret_value() or None,
            "timeout": settings.database_timeout_s,
            "command_timeout": None if patient else settings.database_timeout_s,
            "server_settings": _server_settings(settings, application_name)
            | ({"statement_timeout": "0"} if patient else {}),
        },
    )


async def connect(
    settings: DatabaseSettings, application_name: str, *, patient: bool = False
) -> asyncpg.Connection[Any]:
    """One connection outside the pool, for what lasts: a session lock, LISTEN; `patient` as in `create_engine`."""
    url = make_url(settings.database_url)
    return await asyncpg.connect(
        host=url.host,
        port=url.port,
        user=url.username,
        database=url.database,
        password=settings.database_password.get_secret_value() or None,
        timeout=settings.database_timeout_s,
        command_timeout=None if patient else settings.database_timeout_s,
        server_settings=_server_settings(settings, application_name) | ({"statement_timeout": "0"} if patient else {}),
    )


def _server_settings(settings: DatabaseSettings, application_name: str) -> dict[str, str]:
    timeout_ms = str(int(settings.database_timeout_s * 1000))
    return {
        "application_name": application_name,
        "statement_timeout": timeout_ms,
        # A transaction that its process forgot would hold back the relay's fence for ever.
        "idle_in_transaction_session_timeout": timeout_ms,
        # Who was cut off holds a session's lock (the relay's) until Postgres notices: after 11 s, not hours.
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "jit": "off",
    }


_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # The driver has lost track of a connection that broke in the middle of something.
    asyncpg.InternalClientError,
    InterfaceError,
    OperationalError,
    PoolTimeout,
)
_AWAY_STATES = ("57P01", "57P02", "57P03", "57014", "53300", "08")
"""Shutting down, crashed, starting up, out of time (with whatever it waited for), too many connections, connection
exceptions."""


def is_away(error: BaseException) -> bool:
    """Whether `error` says that Postgres is not there now (and not that the statement is wrong)."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return error.connection_invalidated or state.startswith(_AWAY_STATES) or isinstance(error, _AWAY)
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_AWAY_STATES)
    return isinstance(error, (*_AWAY, TimeoutError, asyncio.TimeoutError))


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turns "Postgres is away" into `DatabaseUnavailable`; every other error passes."""
    try:
        yield
    except asyncio.CancelledError as stray:
        if cancellation.is_meant():
            raise
        raise DatabaseUnavailable("the driver gave up") from stray
    except Exception as error:
        if is_away(error):
            raise DatabaseUnavailable(type(error).__name__) from error
        raise


async def wait_until_migrated(
    engine: AsyncEngine, revision: str, say: Callable[[str], Awaitable[None]], poll_s: float = 0.5
) -> None:
    """Return when Postgres answers and its schema is at `revision`; tells `say` why it waits, once per reason."""
    said = ""
    while True:
        try:
            async with engine.connect() as connection:
                found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
            if found == revision:
                return
            reason = f"the database's schema is at {found}, this release needs {revision}: run `chat_api migrate`"
        except Exception as error:
            if is_away(error):
                reason = f"Postgres does not answer ({type(error).__name__})"
            elif getattr(getattr(error, "orig", None), "sqlstate", None) == "42P01":
                reason = "the database has no schema yet: run `chat_api migrate`"
            else:
                reason = f"Postgres refuses ({getattr(error, 'orig', error)!s:.120})"
        if reason != said:
            said = reason
            await say(reason)
        await asyncio.sleep(poll_s)
