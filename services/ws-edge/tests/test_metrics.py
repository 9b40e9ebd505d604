"""What is counted, and how it looks outside."""

from __future__ import annotations

from collections import Counter

from ws_edge.metrics import Exposition, Figures, Histogram, Name


def test_every_name_is_rendered() -> None:
    """The enum is the list of metrics: none is missing, none is extra."""
    figures = Figures()
    figures.closes[4408] += 1
    figures.commands["ack"] += 2
    figures.receipt_seconds.observe(0.003)
    text = (
        Exposition(
            figures,
            devices=lambda: Counter(mobile=3),
            users=lambda: 2,
            ready=lambda: True,
            canary_age_s=lambda: 0.5,
        )
        .render()
        .decode()
    )
    shown = {line.split()[2].removesuffix("_total") for line in text.splitlines() if line.startswith("# TYPE")}
    assert shown == set(Name)
    assert 'natter_edge_closes_total{code="4408"} 1.0' in text
    assert 'natter_edge_receipt_seconds_bucket{le="0.005"} 1.0' in text
    assert "natter_edge_ready 1.0" in text


def test_histogram_is_cumulative() -> None:
    """A value on a bound belongs to that bound's bucket."""
    histogram = Histogram()
    for seconds in (0.001, 0.002, 100.0):
        histogram.observe(seconds)
    buckets = dict(histogram.buckets())
    assert (buckets["0.001"], buckets["0.0025"], buckets["10.0"], buckets["+Inf"]) == (1, 2, 2, 3)
