"""What the environment may say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ws_edge.settings import EdgeSettings


def test_seed_names_have_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three names that existing deployments set."""
    monkeypatch.setenv("WS_HEARTBEAT_INTERVAL", "1000")
    monkeypatch.setenv("WS_CONNECTION_TIMEOUT", "500")
    monkeypatch.setenv("WS_MAX_RECONNECT_ATTEMPTS", "3")
    monkeypatch.setenv("NATTER_EDGE_ID", "edge-a")
    settings = EdgeSettings()
    assert (settings.heartbeat_interval_ms, settings.connection_timeout_ms) == (1000, 500)
    assert (settings.max_reconnect_attempts, settings.edge_id) == (3, "edge-a")


def test_defaults_are_the_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """45 s, 20 s, 15 attempts; and an edge id of its own for each process."""
    for name in ("WS_HEARTBEAT_INTERVAL", "WS_CONNECTION_TIMEOUT", "WS_MAX_RECONNECT_ATTEMPTS", "NATTER_EDGE_ID"):
        monkeypatch.delenv(name, raising=False)
    settings = EdgeSettings()
    assert settings.heartbeat_interval_ms == 45_000
    assert settings.connection_timeout_ms == 20_000
    assert settings.max_reconnect_attempts == 15
    assert settings.edge_id != EdgeSettings().edge_id


@pytest.mark.parametrize(
    "wrong",
    [
        {"edge_id": "a.>"},
        {"edge_id": ""},
        {"send_buffer_bytes_max": 5000},
        {"canary_interval_s": 5},
        {"liveness_patience_s": 10},
        {"env": "production", "jwt_secret": "x" * 32},
        {"drain_window_s": -1},
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    """At start, not at three in the morning."""
    with pytest.raises(ValidationError):
        EdgeSettings(**wrong)  # type: ignore[arg-type]


def test_origins_are_a_list() -> None:
    """Commas, blanks, case and a trailing slash do not matter."""
    settings = EdgeSettings(allowed_origins=" https://A.example/ ,https://b.example,")
    assert settings.origins == {"https://a.example", "https://b.example"}
