"""The Python client of Natter: connects, stays connected, and shows every message once and in order."""

from contracts.frames import Ack
from natter_client.client import ChatClient, State
from natter_client.clock import Clock
from natter_client.errors import NatterError, OutboxFull, Rejected, Replaced, RequestFailed, Stopped, TurnedAway
from natter_client.options import ClientOptions, Device
from natter_client.stats import Stats
from natter_client.timeline import Delivered, Source, Standing, StreamTimeline
from natter_client.timelines import Bookmark, Rebased

__all__ = [
    "Ack",
    "Bookmark",
    "ChatClient",
    "ClientOptions",
    "Clock",
    "Delivered",
    "Device",
    "NatterError",
    "OutboxFull",
    "Rebased",
    "Rejected",
    "Replaced",
    "RequestFailed",
    "Source",
    "Standing",
    "State",
    "Stats",
    "Stopped",
    "StreamTimeline",
    "TurnedAway",
]
