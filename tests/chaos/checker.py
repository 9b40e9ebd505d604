"""Holds devices, record and push ledger against each other: pure, and every kind of finding is planted in its tests.

- *lost*: an accepted message that is not in the record, or an event that a device which was there at the end, and whose
  first sync was over before the event, never showed.
- *duplicated*: an event shown twice by a device, or a message that stands in the record twice.
- *out of order*: an event shown after a later one of its stream.
- *phantom*: something shown that is not in the record, is not what the record says, or is not for that user; or a
  message in the record that nobody sent.
- *stuck*: a send without an answer, a device that could not say that it is complete, a stack that did not recover.
- pushes: see ledger.py.

"Shown" is what the client gave to the application: what arrives twice and is shown once is nobody's loss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from .evidence import DeviceSeen, Evidence, Recorded
from .ledger import check_pushes
from .record import Record
from .verdict import DUPLICATED, LOST, OUT_OF_ORDER, PHANTOM, STUCK, Verdict


def check(evidence: Evidence) -> Verdict:
    """Hold the evidence against the rules."""
    record = Record(evidence.record)
    verdict = Verdict(messages=len(evidence.accepted))
    _check_sends(evidence, record, verdict)
    for device in evidence.devices:
        _check_device(device, record, verdict)
    check_pushes(evidence, record, verdict)
    verdict.heal_s = [(heal.kind, _heal_s(heal.at, evidence, record)) for heal in evidence.heals]
    return verdict


def _check_sends(evidence: Evidence, record: Record, verdict: Verdict) -> None:
    recorded: dict[str, list[Recorded]] = defaultdict(list)
    for row in record.messages:
        recorded[str(row.content)].append(row)
    for text, rows in recorded.items():
        if text not in evidence.sent:
            verdict.add(PHANTOM, f"the record holds {_place(rows[0])} {text!r}, which nobody sent")
        for extra in rows[1:]:
            verdict.add(DUPLICATED, f"{text!r} stands in the record as {_place(rows[0])} and as {_place(extra)}")
    for message in evidence.accepted:
        there = record.at_place.get((message.stream, message.seq))
        if there is None or there.content != message.content or there.data.get("sender_id") != message.sender_id:
            found = f"holds {there.type} {there.content!r} there" if there is not None else "holds nothing there"
            verdict.add(
                LOST, f"{message.content!r} was accepted as {message.stream} {message.seq}, but the record {found}"
            )
    for words in evidence.unanswered:
        verdict.add(STUCK, f"never answered: {words}")
    for words in evidence.refused:
        verdict.add(STUCK, f"refused: {words}")


def _check_device(device: DeviceSeen, record: Record, verdict: Verdict) -> None:
    seen: set[tuple[str, int]] = set()
    highest: dict[str, int] = defaultdict(int)
    for shown in device.shown:
        place = (shown.stream, shown.seq)
        what = f"{device.name} showed {shown.stream} {shown.seq} ({shown.type} {shown.content or ''})"
        row = record.at_place.get(place)
        if row is None:
            verdict.add(PHANTOM, f"{what}, which the record does not hold")
            continue
        if row.content != shown.content:
            verdict.add(PHANTOM, f"{what}, but the record says {row.type} {row.content or ''}")
        elif not record.may_see(device.user_id, *place):
            verdict.add(PHANTOM, f"{what}, which is not for {device.user_id}")
        if place in seen:
            verdict.add(DUPLICATED, f"{what} again")
        elif shown.seq < highest[shown.stream]:
            verdict.add(OUT_OF_ORDER, f"{what} after {highest[shown.stream]}")
        seen.add(place)
        highest[shown.stream] = max(highest[shown.stream], shown.seq)
    _check_complete(device, seen, record, verdict)


def _check_complete(device: DeviceSeen, seen: set[tuple[str, int]], record: Record, verdict: Verdict) -> None:
    """Nothing may be missing at the end; nor, in between, below something that was shown."""
    if device.present_at_end and not device.caught_up:
        verdict.add(STUCK, f"{device.name} did not catch up")
    lowest: dict[str, int] = {}
    highest: dict[str, int] = {}
    for stream, seq in seen:
        lowest[stream] = min(lowest.get(stream, seq), seq)
        highest[stream] = max(highest.get(stream, seq), seq)
    for row in record.rows:
        if (row.stream, row.seq) in seen or not record.must_see(device.user_id, row.stream, row.seq):
            continue
        after_sync = device.complete_since is not None and row.at > device.complete_since
        passed_over = lowest.get(row.stream, 0) < row.seq < highest.get(row.stream, 0)
        if passed_over or (device.present_at_end and after_sync):
            verdict.add(LOST, f"{device.name} never showed {_place(row)} ({row.type} {row.content or ''})")


def _heal_s(healed_at: float, evidence: Evidence, record: Record) -> float:
    """Return how long after `healed_at` every device that was there had all that had been recorded until then."""
    due: Mapping[str, list[Recorded]] = {
        stream: [row for row in rows if row.at <= healed_at] for stream, rows in record.streams.items()
    }
    latest = healed_at
    for device in evidence.devices:
        if device.complete_since is None or not device.present_at_end:
            continue
        if any(begin <= healed_at < end for begin, end in device.away):
            continue  # its own absence is what it waits for
        at = {(shown.stream, shown.seq): shown.at for shown in reversed(device.shown)}
        for rows in due.values():
            for row in rows:
                shown_at = at.get((row.stream, row.seq))
                if shown_at is None or row.at <= device.complete_since:
                    continue
                if any(healed_at <= begin < shown_at for begin, _ in device.away):
                    continue  # it went away before it could get it
                latest = max(latest, shown_at)
    return latest - healed_at


def _place(row: Recorded) -> str:
    return f"{row.stream} {row.seq}"
