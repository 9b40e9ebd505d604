"""Which methods a path takes: the `Allow` of a 405 names those of all its routes, not of the first one alone."""

from __future__ import annotations

import re
from typing import Any

_PARAMETER = re.compile(r"\\\{\w+\\\}")


def allow(paths: dict[str, Any], path: str) -> str | None:
    """The value of `Allow` for `path`, by OpenAPI's `paths`; None if it is none of them."""
    fitting = [template for template in paths if _pattern(template).fullmatch(path)]
    if not fitting:
        return None
    # `/users/me` is itself, though it would also be some user's page.
    nearest = min(fitting, key=lambda template: template.count("{"))
    return ", ".join(sorted(method.upper() for method in paths[nearest] if method in _METHODS))


_METHODS = frozenset({"get", "put", "post", "patch", "delete", "head"})


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(_PARAMETER.sub("[^/]+", re.escape(template)))
