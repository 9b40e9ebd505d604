"""Whatever the pages name exists: links, anchors, files, tests, and make targets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .pages import ROOT, anchors, fences, name, pages, without_fences

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
# Of web/ only what is in the repository: what is built or painted there comes and goes.
_OF_WEB = ("web/src", "web/e2e", "web/public", "web/scripts")
FOLDERS = ("bench", "deploy", "docs", "examples", "libs", "services", "tests", ".ci", *_OF_WEB)
FILE = re.compile(rf"^(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*{{}},-]*(?:::\w+)?$")
AT_THE_TOP = re.compile(r"^(?:Makefile|[\w-]+\.(?:md|toml|yml|lock))$")
MAKE = re.compile(r"(?:^|[\s;&|])make ([a-z][a-z-]*)")
BRACES = re.compile(r"\{([^{}]*)\}")

each_page = pytest.mark.parametrize("page", pages(), ids=name)


def spans(page: Path) -> list[str]:
    """What stands in `code` in the prose of a page."""
    return CODE.findall(without_fences(page.read_text()))


def expanded(pattern: str) -> Iterator[str]:
    """`a/{b,c}.py` as both files."""
    found = BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    for choice in found[1].split(","):
        yield from expanded(pattern[: found.start()] + choice + pattern[found.end() :])


def targets() -> set[str]:
    """Every target of the Makefile."""
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """A relative link names a file of the project, and an anchor that is there."""
    for link in LINK.findall(without_fences(page.read_text())):
        if re.match(r"^[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


@each_page
def test_named_files_exist(page: Path) -> None:
    """A path in `code` exists; `file::test` names a test in it."""
    for span in spans(page):
        if not FILE.match(span) and not AT_THE_TOP.match(span):
            continue
        path, _, function = span.partition("::")
        for one in expanded(path):
            assert list(ROOT.glob(one.rstrip("/"))), span
            if function:
                assert re.search(rf"def {function}\(", (ROOT / one).read_text()), span


@each_page
def test_named_make_targets_exist(page: Path) -> None:
    """Whoever types what a page says gets no "No rule to make target"."""
    for code in [*spans(page), fences(page.read_text())]:
        for line in code.splitlines():
            for target in MAKE.findall(line.partition("#")[0]):
                assert target in targets(), line


@each_page
def test_pages_name_no_machine(page: Path) -> None:
    """No page carries a path of somebody's home or checkout."""
    assert not re.search(r"/(?:home|Users|root|work)/", page.read_text())
