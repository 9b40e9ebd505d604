"""The names that dashboards rely on."""

from __future__ import annotations

from notifier.metrics import Metric, Metrics


def test_every_metric_is_exposed_under_its_name() -> None:
    """No name of the enum is without a metric, and no metric without a name."""
    families = {family.name + ("_total" if family.type == "counter" else "") for family in Metrics().registry.collect()}
    assert families == {metric.value for metric in Metric}
