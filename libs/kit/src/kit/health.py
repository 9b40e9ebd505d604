"""Live and ready: what an orchestrator and a load balancer may ask, with the reasons in words.

Readiness fails fast (stop sending work here), liveness slowly or never (restarting a process over a broker's hiccup
only adds a reconnect storm).
"""

from __future__ import annotations

import json


class Health:
    """The named things that must be true before a process is ready; a thing that is not true has a reason."""

    def __init__(self, *needs: str) -> None:
        self._missing: dict[str, str] = dict.fromkeys(needs, "starting")
        self.alive = True

    def ok(self, need: str) -> None:
        """`need` is met."""
        self._missing.pop(need, None)

    def missing(self, need: str, reason: str) -> None:
        """`need` is not met (any more), and why."""
        self._missing[need] = reason

    @property
    def ready(self) -> bool:
        """Whether everything needed is there."""
        return not self._missing

    def report(self) -> tuple[int, bytes]:
        """HTTP status and JSON body of `/healthz/ready`."""
        if self.ready:
            return 200, b'{"status":"ready"}'
        return 503, json.dumps({"status": "not_ready", "missing": self._missing}).encode()

    def live_report(self) -> tuple[int, bytes]:
        """HTTP status and JSON body of `/healthz/live`."""
        return (200, b'{"status":"alive"}') if self.alive else (503, b'{"status":"stuck"}')
