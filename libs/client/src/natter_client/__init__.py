"""The Python side of Natter: a client that shows every message once and in order, and a host application's calls."""

from contracts.frames import Ack
from natter_client.broadcasting import BroadcastingService
from natter_client.calling import CallOptions
from natter_client.client import ChatClient, State
from natter_client.clock import Clock
from natter_client.dependency import close_broadcasting_service, get_broadcasting_service
from natter_client.errors import (
    NatterError,
    NotConfigured,
    OutboxFull,
    Rejected,
    Replaced,
    RequestFailed,
    Stopped,
    TurnedAway,
)
from natter_client.options import ClientOptions, Device
from natter_client.pushes import Pushes
from natter_client.stats import Stats
from natter_client.timeline import Delivered, Source, Standing, StreamTimeline
from natter_client.timelines import Bookmark, Rebased

__all__ = [
    "Ack",
    "Bookmark",
    "BroadcastingService",
    "CallOptions",
    "ChatClient",
    "ClientOptions",
    "Clock",
    "Delivered",
    "Device",
    "NatterError",
    "NotConfigured",
    "OutboxFull",
    "Pushes",
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
    "close_broadcasting_service",
    "get_broadcasting_service",
]
