"""Ready when everything needed is there, with a reason for everything that is not."""

from __future__ import annotations

import json

from kit.health import Health


def test_ready_when_all_needs_are_met() -> None:
    """Each need counts."""
    health = Health("database", "nats")
    assert health.report()[0] == 503
    health.ok("database")
    assert not health.ready
    health.ok("nats")
    assert health.report() == (200, b'{"status":"ready"}')


def test_reasons_are_told() -> None:
    """Whoever asks learns what is missing and why."""
    health = Health("database", "nats")
    health.missing("nats", 'no "answer"')
    status, body = health.report()
    assert status == 503
    assert json.loads(body) == {"status": "not_ready", "missing": {"database": "starting", "nats": 'no "answer"'}}


def test_a_need_can_be_lost_and_met_again() -> None:
    """Readiness follows the world, liveness does not."""
    health = Health("database")
    health.ok("database")
    health.missing("database", "gone")
    assert not health.ready
    assert health.live_report()[0] == 200
    health.ok("database")
    health.ok("database")
    assert health.ready


def test_stuck_is_not_alive() -> None:
    """Only a process that says so itself is restarted."""
    health = Health()
    health.alive = False
    assert health.live_report()[0] == 503
    assert health.ready
