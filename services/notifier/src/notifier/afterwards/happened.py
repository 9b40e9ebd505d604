"""EVENTS → our tables: what was read or deleted after it was pushed, or while its push waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nats.aio.msg import Msg

from contracts import streams, subjects
from contracts.codec import decode
from contracts.envelope import Envelope
from contracts.errors import ContractError
from contracts.events import MessageDeleted, UserReadAdvanced
from contracts.pushes import SkipReason
from kit import bus
from kit.backoff import full_jitter
from kit.logs import Stage, logger
from notifier.afterwards.record import AfterwardsRecord, Deleted, Read
from notifier.errors import PullBroken, StoreRefused, StoreUnavailable
from notifier.link import Link
from notifier.metrics import Metrics
from notifier.pull import Pull, PullOptions
from notifier.settings import NotifierSettings
from notifier.stopping import Stop, Stopped
from notifier.wake import Wake

log = logger()

_BATCH = 200
_ACK_WAIT_S = 30.0
_WAIT_S = 1.0
_CONNECTED_POLL_S = 0.1


class Happened:
    """The one task that hears events. What it misses (a stream that was lost) costs a retraction, never a push."""

    def __init__(
        self,
        settings: NotifierSettings,
        link: Link,
        record: AfterwardsRecord,
        can_retract: Iterable[str],
        metrics: Metrics,
        wake: Wake,
        stop: Stop,
    ) -> None:
        """`can_retract` names the providers that can take pushes back; `wake` is the retractor's bell."""
        self._settings = settings
        self._link = link
        self._record = record
        self._can_retract = tuple(can_retract)
        self._metrics = metrics
        self._wake = wake
        self._stop = stop
        self._pull: Pull | None = None
        link.on_interrupted(self._on_interrupted)

    @property
    def hearing(self) -> bool:
        """Whether events are heard now."""
        return self._pull is not None

    async def run(self) -> None:
        """Until told to stop; whatever is away meanwhile is waited for."""
        try:
            client = await self._link.wait()
            waits = full_jitter(0.2, 5.0)
            while not self._stop:
                if not client.is_connected:
                    await self._stop.pause(_CONNECTED_POLL_S)
                    continue
                options = PullOptions(
                    _BATCH,
                    _ACK_WAIT_S,
                    stream=streams.EVENTS,
                    durable=streams.NOTIFIER_EVENTS_DURABLE,
                    filters=(subjects.EVENTS_READ, subjects.EVENTS_DELETED),
                    own_stream=False,
                    from_now_on=True,
                )
                pull = Pull(client, options)
                try:
                    await self._stop.unless_stopped(pull.open())
                    self._pull = pull
                    waits = full_jitter(0.2, 5.0)
                    while not self._stop:
                        await self._stop.unless_stopped(pull.wait(_WAIT_S))
                        await self._take_in(await pull.take())
                except PullBroken as broken:
                    # Nobody's push waits for this: the process is ready without it.
                    log.info("events are not heard", stage=Stage.LISTENER, reason=str(broken))
                    await self._stop.pause(next(waits))
                finally:
                    self._pull = None
                    await pull.close()
        except Stopped:
            return

    def _on_interrupted(self, reason: str) -> None:
        if self._pull is not None:
            self._pull.interrupt(reason)

    async def _take_in(self, messages: Sequence[Msg]) -> None:
        if not messages:
            return
        reads, deletions = read_events(message.data for message in messages)
        if reads or deletions:
            await self._note(reads, deletions)
        try:
            for message in messages:
                await message.ack()
        except bus.AWAY as failed:
            raise PullBroken(f"cannot acknowledge: {type(failed).__name__}") from failed

    async def _note(self, reads: Sequence[Read], deletions: Sequence[Deleted]) -> None:
        for wait_s in full_jitter(0.2, 3.0):
            try:
                skipped, retractions = await self._record.note(reads, deletions, self._can_retract)
            except StoreRefused as refused:
                log.error("events put aside", stage=Stage.LISTENER, reason=str(refused), count=len(reads))
                return
            except StoreUnavailable as away:
                if self._stop:
                    raise Stopped from None
                log.info("waiting for Postgres", stage=Stage.LISTENER, reason=str(away))
                await self._stop.pause(wait_s)
                continue
            if skipped:
                self._metrics.skipped.labels(SkipReason.READ.value).inc(skipped)
                self._metrics.settled.labels("skipped").inc(skipped)
            if retractions:
                self._wake.set()
            return


def read_events(payloads: Iterable[bytes]) -> tuple[list[Read], list[Deleted]]:
    """What was read and what was deleted; of one user and conversation the furthest. What is unreadable is not ours."""
    reads: dict[tuple[str, str], int] = {}
    deletions: dict[str, Deleted] = {}
    for payload in payloads:
        try:
            event = decode(Envelope, payload).event()
        except (ContractError, ValueError) as unreadable:
            log.warning("an event cannot be read", stage=Stage.LISTENER, reason=str(unreadable)[:200])
            continue
        match event:
            case UserReadAdvanced():
                key = (event.user_id, event.conversation_id)
                reads[key] = max(event.seq, reads.get(key, 0))
            case MessageDeleted():
                deletions[event.id] = Deleted(event.conversation_id, event.id)
            case _:
                pass
    return [Read(user_id, conversation_id, seq) for (user_id, conversation_id), seq in reads.items()], list(
        deletions.values()
    )
