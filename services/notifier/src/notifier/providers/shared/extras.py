"""What an app finds beside the words of a push; pure."""

from __future__ import annotations

import json

from notifier.push import Push


def extras(push: Push) -> dict[str, str]:
    """The push's data as strings, with `badge` as digits and `retract` as a JSON list of conversations, if there are
    any: for services whose own fields know neither."""
    found = dict(push.data)
    if push.badge is not None:
        found["badge"] = str(push.badge)
    if push.retract:
        found["retract"] = json.dumps(push.retract, separators=(",", ":"))
    return found
