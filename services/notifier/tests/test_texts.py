"""Languages: which one a tag finds, and that none lacks a text."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from fluent.syntax import FluentParser, ast

from notifier.errors import ConfigError
from notifier.texts import FALLBACK, Texts


def messages_of(language: str) -> set[str]:
    """The names of a shipped language's texts; a mistake in the file fails."""
    resource = FluentParser().parse(files("notifier.texts").joinpath(f"{language}.ftl").read_text(encoding="utf-8"))
    assert not [entry for entry in resource.body if isinstance(entry, ast.Junk)]
    return {entry.id.name for entry in resource.body if isinstance(entry, ast.Message)}


@pytest.mark.parametrize("language", Texts().languages)
def test_every_shipped_language_has_every_text(language: str) -> None:
    """Nobody reads half a push in a foreign language."""
    assert messages_of(language) == messages_of(FALLBACK)


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        (None, "🖼 Image"),
        ("en", "🖼 Image"),
        ("en-GB", "🖼 Image"),
        ("zh-CN", "🖼 图片"),
        ("ZH-cn", "🖼 图片"),
        ("zh", "🖼 图片"),
        ("zh-Hans-CN", "🖼 图片"),
        ("zh-TW", "🖼 图片"),
        ("fr-FR", "🖼 Image"),
    ],
)
def test_a_tag_finds_the_nearest_language(locale: str | None, said: str) -> None:
    """By the whole tag, by the language, or the deployment's own."""
    assert Texts().say(locale, "image") == said


def test_a_deployment_adds_languages_and_other_words(tmp_path: Path) -> None:
    """What its files leave out is as shipped."""
    (tmp_path / "de.ftl").write_text("image = Bild\n")
    (tmp_path / "en.ftl").write_text("image = Picture\n")
    texts = Texts(tmp_path, default="de")
    assert [texts.say(locale, "image") for locale in (None, "de-AT", "en", "zh")] == [
        "Bild",
        "Bild",
        "Picture",
        "🖼 图片",
    ]
    assert texts.say("de", "file-without-name") == "📎 File"
    assert texts.say("en", "file-without-name") == "📎 File"


def test_names_are_put_in_as_they_are() -> None:
    """A name in another script gets no marks around it, and one that looks like a placeable is no instruction."""
    assert Texts().say("en", "message-title", {"sender": "{ $evil } ليلى"}) == "{ $evil } ليلى"


def test_wrong_settings_are_told(tmp_path: Path) -> None:
    """A folder without texts, and a language that is not there."""
    with pytest.raises(ConfigError, match="NATTER_PUSH_TEXTS"):
        Texts(tmp_path)
    with pytest.raises(ConfigError, match="NATTER_PUSH_LOCALE"):
        Texts(default="tlh")
