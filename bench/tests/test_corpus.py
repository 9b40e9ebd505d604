"""The dialogues as they are shipped, and files as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.demo.corpus import Language, read_corpus
from bench.demo.errors import CorpusMissing

from contracts.messages import CONTENT_CHARS_MAX


@pytest.mark.parametrize("language", list(Language))
def test_the_shipped_corpus_has_dialogues_that_fit_a_message(language: Language) -> None:
    """Both languages are there, with real exchanges among them, and every line can be sent."""
    dialogues = read_corpus(language)
    assert len(dialogues) > 100
    assert any(len(dialogue.lines) >= 4 for dialogue in dialogues)
    assert all(0 < len(line) <= CONTENT_CHARS_MAX for dialogue in dialogues for line in dialogue.lines)


def test_the_chinese_corpus_is_chinese() -> None:
    """The text was decoded as UTF-8."""
    assert any("你好" in line for dialogue in read_corpus(Language.CHINESE) for line in dialogue.lines)


def test_what_cannot_be_played_is_left_out(tmp_path: Path) -> None:
    """A bare string, a monologue and an empty line are no dialogue; numbers between lines are dropped."""
    folder = tmp_path / "english"
    folder.mkdir()
    (folder / "food.yml").write_text(
        "conversations:\n- just a string\n- - alone\n- - hi\n  - ''\n- - ' one '\n  - 2\n  - three\n", encoding="utf-8"
    )
    (folder / "politics.yml").write_text("conversations:\n- - a\n  - b\n", encoding="utf-8")
    assert [dialogue.lines for dialogue in read_corpus(Language.ENGLISH, tmp_path)] == [("one", "three")]


def test_a_missing_language_is_said(tmp_path: Path) -> None:
    """Nothing to play is an error with the language's name."""
    with pytest.raises(CorpusMissing, match="chinese"):
        read_corpus(Language.CHINESE, tmp_path)
