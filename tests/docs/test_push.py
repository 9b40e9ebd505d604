"""docs/push.md tells every reason why there was no push, and has a section for every provider."""

from __future__ import annotations

import re

from contracts.pushes import SkipReason
from notifier.providers import ALIASES, PROVIDERS

from .pages import ROOT, plain, rows, section

PAGE = (ROOT / "docs" / "push.md").read_text()


def test_every_reason_is_explained() -> None:
    """Each member of the enum, once, with a sentence."""
    found = rows(section(PAGE, "Why there was no push"))
    assert sorted(plain(row[0]) for row in found) == sorted(reason.value for reason in SkipReason)
    assert all(len(row[1]) > 10 for row in found)


def test_every_provider_is_in_the_table_and_has_its_section() -> None:
    """Whoever chooses one finds how to get its credentials."""
    found = rows(section(PAGE, "Who carries what"))
    named = {name for row in found for name in re.findall(r"`([a-z]+)`", row[0])}
    assert named == {*PROVIDERS, *ALIASES}
    for row in found:
        heading = re.match(r"\[([^\]]+)\]", row[3])
        assert heading is not None, row
        assert len(section(PAGE, heading[1])) > 200, row
