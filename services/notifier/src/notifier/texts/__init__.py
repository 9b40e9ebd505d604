"""The words around a message, by language: Fluent files beside this one, and those of the deployment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from fluent.runtime import FluentBundle, FluentResource

from notifier.errors import ConfigError

FALLBACK = "en"
"""Has every text; another language may lack some."""


class Texts:
    """Every language that there is. A tag finds the nearest one: `zh-Hans-CN`, `zh-TW` and `zh` find `zh-CN`."""

    def __init__(self, folder: Path | None = None, default: str = FALLBACK) -> None:
        """`folder` holds `<language>.ftl` files of the deployment: new languages, or other words for some texts.

        Raises `ConfigError`.
        """
        sources = {name: [text] for name, text in _shipped().items()}
        if folder is not None:
            for name, text in _read(folder).items():
                # Their words go over what is shipped; what they leave out is as shipped.
                sources.setdefault(name, []).append(text)
        self._bundles = {name: _bundle(name, texts) for name, texts in sources.items()}
        if default not in self._bundles:
            raise ConfigError(
                f"NATTER_PUSH_LOCALE={default!r}: there is no such language, only {', '.join(self.languages)}"
            )
        self._default = default
        self._nearest = cache(self._find)

    @property
    def languages(self) -> tuple[str, ...]:
        """Their tags, sorted."""
        return tuple(sorted(self._bundles))

    def say(self, locale: str | None, text: str, values: Mapping[str, str | int] | None = None) -> str:
        """The text of that name; raises `KeyError` if no language has it."""
        for language in self._nearest(locale or self._default):
            bundle = self._bundles[language]
            if bundle.has_message(text):
                message = bundle.get_message(text)
                if message.value is not None:
                    said, _mistakes = bundle.format_pattern(message.value, dict(values or {}))
                    return str(said)
        raise KeyError(text)

    def _find(self, locale: str) -> tuple[str, ...]:
        """Where to look, in this order."""
        wanted = locale.lower()
        language = wanted.split("-")[0]
        exact = [one for one in self.languages if one.lower() == wanted]
        near = [one for one in self.languages if one.lower().split("-")[0] == language]
        return tuple(dict.fromkeys([*exact, *near, self._default, FALLBACK]))


def _shipped() -> dict[str, str]:
    return {
        entry.name.removesuffix(".ftl"): entry.read_text(encoding="utf-8")
        for entry in files(__package__).iterdir()
        if entry.name.endswith(".ftl")
    }


def _read(folder: Path) -> dict[str, str]:
    found = sorted(folder.glob("*.ftl"))
    if not found:
        raise ConfigError(f"NATTER_PUSH_TEXTS={str(folder)!r}: there is no .ftl file")
    return {path.stem: path.read_text(encoding="utf-8") for path in found}


def _bundle(language: str, sources: list[str]) -> FluentBundle:
    # Marks of direction around every name would be visible boxes on some lock screens.
    bundle = FluentBundle([language], use_isolating=False)
    for source in sources:
        bundle.add_resource(FluentResource(source), allow_overrides=True)
    return bundle
