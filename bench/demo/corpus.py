"""Reads dialogues that people wrote: the chatterbot-corpus package, one YAML file per topic and language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from bench.demo.errors import CorpusMissing
from contracts.messages import CONTENT_CHARS_MAX

TOPICS = frozenset(
    {
        "ai", "coding", "computers", "conversations", "emotion", "food", "greetings", "health", "history",
        "literature", "money", "movies", "psychology", "science", "sports", "tech_support", "trivia",
    }
)  # fmt: skip
"""What is played. Left out: jokes, gossip and politics, which one would not show to a customer."""

# The C parser reads both languages in 0.15 s, the Python one in 2 s.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Language(StrEnum):
    """A folder of the corpus."""

    ENGLISH = "english"
    CHINESE = "chinese"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Two speakers taking turns; at least two lines."""

    language: Language
    topic: str
    lines: tuple[str, ...]


def corpus_folder() -> Path:
    """Where the package keeps its files; raises `CorpusMissing`."""
    try:
        from chatterbot_corpus.corpus import DATA_DIRECTORY
    except ImportError:
        raise CorpusMissing("the package chatterbot-corpus is not installed: run this through make") from None
    return Path(DATA_DIRECTORY)


def read_corpus(language: Language, folder: Path | None = None) -> tuple[Dialogue, ...]:
    """Every usable dialogue of a language in a fixed order; raises `CorpusMissing` if there is none."""
    files = sorted((folder or corpus_folder()).joinpath(language).glob("*.yml"))
    dialogues = tuple(
        Dialogue(language, path.stem, lines) for path in files if path.stem in TOPICS for lines in _dialogues(path)
    )
    if not dialogues:
        raise CorpusMissing(f"chatterbot-corpus holds no {language} dialogue that this demo can use")
    return dialogues


def _dialogues(path: Path) -> Iterator[tuple[str, ...]]:
    document = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # a safe loader, see above
    for conversation in document["conversations"]:
        # The files were written by many hands: some entries are a bare string, some lines a number or nothing.
        if isinstance(conversation, list):
            lines = tuple(line.strip() for line in conversation if isinstance(line, str))
            if len(lines) >= 2 and all(0 < len(line) <= CONTENT_CHARS_MAX and "\x00" not in line for line in lines):
                yield lines
