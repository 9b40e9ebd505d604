"""Users of other issuers: registered when they are first seen, brought up to date when their token says otherwise."""

from __future__ import annotations

from collections import OrderedDict

from chat_api.commands.ports import Recordable, UnitOfWork
from chat_api.domain import accounts
from contracts.stream_ids import UserStream
from contracts.times import now
from kit.tokens import Principal


class Newcomers:
    """Remembers whom this process has met, at most `known_max` of them: to meet somebody again costs nothing."""

    def __init__(self, uow: UnitOfWork, known_max: int) -> None:
        self._uow = uow
        self._known_max = known_max
        self._known: OrderedDict[str, tuple[str | None, tuple[str, ...]]] = OrderedDict()

    async def meet(self, principal: Principal) -> None:
        """Make sure that the user of a foreign token is registered as the token says; ours are registered by hosts."""
        if principal.issuer is not None:
            await self.meet_user(principal.user_id, principal.name, tuple(sorted(principal.roles)))

    async def meet_user(self, user_id: str, name: str | None, roles: tuple[str, ...]) -> None:
        """The same, by what is known of the token. Raises `StoreUnavailable`."""
        if self._known.get(user_id) == (name, roles):
            self._known.move_to_end(user_id)
            return
        stream = UserStream(user_id)
        async with self._uow.begin({stream}) as transaction:
            at = now()
            events = accounts.met(await transaction.user(user_id), user_id, name, roles, at)
            await transaction.append([Recordable(stream, event, {"actor": user_id}) for event in events], at)
        self._known[user_id] = (name, roles)
        self._known.move_to_end(user_id)
        if len(self._known) > self._known_max:
            self._known.popitem(last=False)
