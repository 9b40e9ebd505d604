"""Stand-ins for tests, yours and ours: a provider that records, a clock that is set, and a notifier without servers.

    provider = RecordingProvider()
    notifier = NotifierHarness(provider)
    waiting = notifier.message("alice", "See you at nine", sender="Ben")
    await notifier.advance(2)
    assert notifier.pushes_of("alice")[0].content == "See you at nine"

`examples/push_test/` shows more of it.
"""

from notifier.testing.clock import FakeClock
from notifier.testing.harness import NotifierHarness
from notifier.testing.provider import RecordingProvider
from notifier.testing.waiting import Waiting

__all__ = ["FakeClock", "NotifierHarness", "RecordingProvider", "Waiting"]
