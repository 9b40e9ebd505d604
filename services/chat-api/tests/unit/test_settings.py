"""Limits that depend on each other are checked together, at start."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from chat_api.settings import ChatApiSettings


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("NATTER_", "DELIVERY_")):
            monkeypatch.delenv(name)


def test_defaults_fit_together() -> None:
    """Nothing has to be set on a laptop."""
    settings = ChatApiSettings()
    assert settings.delivery_ack_timeout_s == 10


@pytest.mark.parametrize("name", ["DELIVERY_ACK_TIMEOUT", "NATTER_DELIVERY_ACK_TIMEOUT"])
def test_both_names_of_the_receipt_timeout(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The documented name, and the one that follows our rule."""
    monkeypatch.setenv(name, "3")
    assert ChatApiSettings().delivery_ack_timeout_s == 3


def test_ack_wait_must_cover_the_receipts() -> None:
    """JetStream must not repeat an event while its receipts may still come."""
    fits = ChatApiSettings(fanout_ack_wait_s=24, delivery_ack_timeout_s=10, important_mobile_wait_s=2)
    assert fits.fanout_ack_wait_s == 24
    with pytest.raises(ValidationError, match="DELIVERY_ACK_TIMEOUT"):
        ChatApiSettings(fanout_ack_wait_s=23.9, delivery_ack_timeout_s=10, important_mobile_wait_s=2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("send_batch_max", 0),
        ("relay_batch_max", 5001),
        ("relay_poll_s", 0),
        ("delivery_ack_timeout_s", 0),
        ("fanout_partitions", 0),
        ("fanout_partitions", 65),
        ("fanout_lease_s", 1),
        ("body_bytes_max", 1),
        ("idempotency_ttl_s", 1),
    ],
)
def test_nonsense_is_refused(field: str, value: float) -> None:
    """A limit that could not work stops the start, not the service."""
    with pytest.raises(ValidationError):
        ChatApiSettings.model_validate({field: value})


@pytest.mark.parametrize("arguments", [[], ["serve"], ["migrate"]])
def test_a_wrong_setting_is_named_and_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Exit status 2, the setting's name, and not its value (it may be a secret)."""
    from chat_api.__main__ import main

    monkeypatch.setenv("NATTER_JWT_SECRET", "hunter2")
    monkeypatch.setenv("NATTER_SEND_WORKERS", "many")
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert "send_workers" in told
    assert "hunter2" not in told
