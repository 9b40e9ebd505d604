"""The project's pages as the tests of this folder read them: tables, links, code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    """Every page that a person reads: those at the top, all of docs/, and those beside the examples."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def name(page: Path) -> str:
    """A page as a test's id."""
    return page.relative_to(ROOT).as_posix()


def without_fences(text: str) -> str:
    """The prose: what stands in fenced blocks is code."""
    return _FENCE.sub("", text)


def fences(text: str) -> str:
    """Only the fenced blocks."""
    return "\n".join(_FENCE.findall(text))


def plain(cell: str) -> str:
    """A table's cell without the marks of code and anchors."""
    return re.sub(r"<[^>]+>", "", cell).replace("`", "").strip()


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, the heads and rules left out; a `\\|` is no border."""
    found = []
    lines = without_fences(text).splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("|") or set(line) <= set("|-: "):
            continue
        if number + 1 < len(lines) and lines[number + 1].startswith("|") and set(lines[number + 1]) <= set("|-: "):
            continue  # a head
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def section(text: str, heading: str) -> str:
    """What stands below `heading`, up to the next heading of its level or above."""
    found = list(_HEADING.finditer(text))
    for index, match in enumerate(found):
        if match[2].strip() == heading:
            ends = (later.start() for later in found[index + 1 :] if len(later[1]) <= len(match[1]))
            return text[match.end() : next(ends, len(text))]
    raise AssertionError(f"no section {heading!r}")


def anchors(text: str) -> set[str]:
    """What a link into a page may name: its headings as GitHub turns them into anchors, and explicit ids."""
    prose = without_fences(text)
    slugs = {
        re.sub(r"[^\w\- ]", "", match[2].strip().lower().replace("`", "")).replace(" ", "-")
        for match in _HEADING.finditer(prose)
    }
    return slugs | set(re.findall(r'<a id="([^"]+)"', prose))
