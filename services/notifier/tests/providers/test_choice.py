"""`NOTIFICATION_PROVIDER`: the list, its order, aliases, and that nothing is loaded that is not chosen."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from contracts.devices import PushDevice, PushService
from contracts.pushes import SkipReason
from notifier.errors import ConfigError
from notifier.providers import PROVIDERS, build_all
from notifier.providers.routing import Routed, route
from notifier.testing import NotifierHarness, RecordingProvider

FCM, JPUSH, STUB = PushService.FCM, PushService.JPUSH, PushService.STUB


def phone(service: PushService) -> PushDevice:
    """A registered device."""
    return NotifierHarness().device("alice", service)


def test_the_list_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that fits a device carries it, so the order is a decision of whoever wrote it."""
    monkeypatch.setenv("NATTER_JPUSH_APP_KEY", "key")
    monkeypatch.setenv("NATTER_JPUSH_MASTER_SECRET", "secret")
    for names in itertools.permutations(("logging", "stub", "jpush")):
        assert [one.name for one in build_all(",".join(names))] == list(names)


def test_firebase_is_fcm() -> None:
    """The seed's name for it; both at once are one too many."""
    with pytest.raises(ConfigError, match="FIREBASE_CREDENTIALS_PATH"):
        build_all("firebase")
    with pytest.raises(ConfigError, match="names 'fcm' twice"):
        build_all("fcm,firebase")


def test_an_unknown_name_is_answered_with_all_that_are_known() -> None:
    """Aliases included."""
    with pytest.raises(ConfigError) as wrong:
        build_all("pigeon")
    assert all(name in str(wrong.value) for name in (*PROVIDERS, "firebase"))


def test_only_what_is_chosen_is_loaded() -> None:
    """A library of a provider that nobody uses may be missing, and takes no memory."""
    program = (
        "import sys; from notifier.providers import build_all; build_all('logging,stub')\n"
        "print(sorted({'google.auth', 'http_ece', 'jwt', 'httpx', 'h2'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"


def who(routed: tuple[Routed, ...] | SkipReason) -> list[tuple[str, str | None]] | SkipReason:
    """Provider and device, for comparing."""
    if isinstance(routed, SkipReason):
        return routed
    return [(one.provider.name, None if one.device is None else one.device.id) for one in routed]


def test_a_device_goes_to_the_first_that_carries_its_tokens() -> None:
    """Else to the first that needs none; a user without devices goes there, too."""
    fcm, other_fcm = RecordingProvider("fcm", services=[FCM]), RecordingProvider("fcm-2", services=[FCM])
    logging, webhook = RecordingProvider("logging"), RecordingProvider("webhook")
    android, china = phone(FCM), phone(JPUSH)
    providers = (logging, fcm, other_fcm, webhook)
    assert who(route(providers, [android, china])) == [("fcm", android.id), ("logging", china.id)]
    assert who(route(providers, [])) == [("logging", None)]


@pytest.mark.parametrize(
    ("devices", "reason"),
    [([], SkipReason.NO_DEVICE), ([phone(JPUSH)], SkipReason.NO_PROVIDER)],
    ids=["no device", "no carrier"],
)
def test_what_nobody_carries_has_a_reason(devices: list[PushDevice], reason: SkipReason) -> None:
    """One for users without a device, another for devices without a provider."""
    assert route((RecordingProvider("fcm", services=[FCM]),), devices) is reason


def test_devices_that_nobody_carries_do_not_keep_the_others_from_theirs() -> None:
    """Each device for itself."""
    android = phone(FCM)
    fcm = RecordingProvider("fcm", services=[FCM])
    assert who(route((fcm,), [phone(JPUSH), android, phone(STUB)])) == [("fcm", android.id)]
