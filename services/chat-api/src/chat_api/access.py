"""Who may come in, and how often: the parts that look at every request and every command before anything else does."""

from __future__ import annotations

from dataclasses import dataclass

from chat_api.commands.accounts import Accounts, Limits
from chat_api.commands.newcomers import Newcomers
from chat_api.domain.errors import RateLimited, UserIsBlocked
from chat_api.limits.limiter import Limiter, Rate
from chat_api.limits.operations import Operation
from chat_api.settings import ChatApiSettings
from chat_api.store.unit_of_work import PostgresUnitOfWork
from contracts.commands import Asker
from kit.issuers import Issuers, Verifier
from kit.revocations import Revocations
from kit.tokens import Role

NEWCOMERS_KNOWN_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Access:
    """One of each per process."""

    verifier: Verifier
    revocations: Revocations
    newcomers: Newcomers
    accounts: Accounts
    limiter: Limiter
    service_factor: float
    """How much more a service may do than a user; 0: as much as it likes."""

    @classmethod
    def of(cls, settings: ChatApiSettings, uow: PostgresUnitOfWork) -> Access:
        """The parts as the settings want them."""
        secret = settings.jwt_secret.get_secret_value()
        revocations = Revocations()
        limits = Limits(settings.refresh_token_ttl_s, settings.refresh_grace_s, settings.sessions_per_user_max)
        return cls(
            verifier=Verifier(secret, Issuers(settings.issuers)),
            revocations=revocations,
            newcomers=Newcomers(uow, NEWCOMERS_KNOWN_MAX),
            accounts=Accounts(uow, secret, limits, revocations.apply),
            limiter=Limiter(_rates(settings), buckets_max=settings.rate_buckets_max),
            service_factor=settings.rate_service_factor,
        )

    def wait_s(self, operation: Operation, user_id: str, roles: frozenset[str]) -> float:
        """0 if this user may do that now; else the seconds until it may."""
        if Role.SERVICE not in roles:
            return self.limiter.take(operation, user_id)
        if not self.service_factor:
            return 0.0
        return self.limiter.take(operation, user_id, factor=self.service_factor)


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Looks at each command of an edge before it is carried out; the edge has verified the token."""

    access: Access

    async def admit(
        self, operation: Operation, user_id: str, name: str | None, roles: tuple[str, ...], issuer: str | None
    ) -> None:
        """Raises `UserIsBlocked` or `RateLimited`; whom another issuer vouches for is registered when first seen."""
        if self.access.revocations.is_blocked(user_id):
            raise UserIsBlocked
        wait_s = self.access.wait_s(operation, user_id, frozenset(roles))
        if wait_s:
            raise RateLimited(wait_s)
        if issuer is not None:
            await self.access.newcomers.meet_user(user_id, name, roles)

    async def admit_asker(self, operation: Operation, asker: Asker) -> None:
        """The same."""
        await self.admit(operation, asker.user_id, asker.name, asker.roles, asker.issuer)


def _rates(settings: ChatApiSettings) -> dict[Operation, Rate]:
    if not settings.rate_limits:
        return {}
    send = Rate(settings.rate_send_per_s, settings.rate_send_burst)
    write = Rate(settings.rate_write_per_s, settings.rate_write_burst)
    by_user, by_address = settings.rate_password_user_per_min, settings.rate_password_address_per_min
    return {
        Operation.SEND: send,
        Operation.MARK_READ: send,
        Operation.TYPING: Rate(settings.rate_typing_per_s, settings.rate_typing_per_s),
        Operation.READ: Rate(settings.rate_read_per_s, settings.rate_read_burst),
        Operation.WRITE: write,
        Operation.UPLOAD: Rate(settings.rate_upload_per_s, settings.rate_upload_burst),
        Operation.PASSWORD: Rate(by_user / 60, by_user),
        Operation.PASSWORD_FROM_ADDRESS: Rate(by_address / 60, by_address),
        Operation.REFRESH_FROM_ADDRESS: write,
    }
