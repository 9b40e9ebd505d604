"""The metrics and log stages that the pages tell people to look at exist, and each metric is told somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chat_api.metrics import Name as ChatApiName
from kit.issuers import Metric as IssuerMetric
from kit.logs import Stage
from notifier.metrics import Metric
from ws_edge.metrics import Name as EdgeName

from .pages import ROOT, fences, name, pages, section

GAUGES_AND_HISTOGRAMS = {
    EdgeName.CONNECTIONS,
    EdgeName.USERS,
    EdgeName.READY,
    EdgeName.CANARY_AGE,
    EdgeName.RECEIPT_SECONDS,
}
METRICS = {
    *(str(one) for one in ChatApiName),
    *(str(one) for one in IssuerMetric),
    *(str(one) if one in GAUGES_AND_HISTOGRAMS else f"{one}_total" for one in EdgeName),
    *(str(one) for one in Metric),
}
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("page", pages(), ids=name)
def test_named_metrics_and_stages_exist(page: Path) -> None:
    """`natter_…` is a metric as Prometheus shows it, `stage=…` a stage as the log shows it."""
    text = page.read_text()
    metrics = set(re.findall(r"`(natter_(?!client|chat)[a-z_]+)(?:\{[^`]*\})?`", text))
    assert metrics <= METRICS, metrics - METRICS
    stages = set(re.findall(r"stage=([a-z_]+)", text))
    assert stages <= {str(stage) for stage in Stage}


def test_every_metric_is_told() -> None:
    """docs/operations.md says of each metric what it tells."""
    told = set(re.findall(r"`(natter_[a-z_]+)(?:\{[^`]*\})?`", OPERATIONS))
    assert told >= METRICS, METRICS - told


def test_every_stage_is_told() -> None:
    """docs/operations.md says of each stage what it means."""
    assert {str(stage) for stage in Stage} <= set(re.findall(r"`([a-z_]+)`", OPERATIONS))


@pytest.mark.parametrize("story", ["A message is not shown at once", "Presence is wrong", "A message is lost"])
def test_the_three_stories_are_told(story: str) -> None:
    """Seed row S24: each with log lines as the services write them, and with what to ask."""
    told = section(OPERATIONS, story)
    lines = re.findall(r"^[\d.]+ (chat-api|ws-edge|notifier) +stage=(\w+)", fences(told), re.MULTILINE)
    assert len(lines) >= 3
    assert {stage for _, stage in lines} <= {str(stage) for stage in Stage}
    assert "`GET /v1/" in told
