"""The files of the deployment as the tests of this folder read them: compose, Dockerfiles, locks, nginx."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from .pages import ROOT

SERVICES = ("chat-api", "ws-edge", "notifier")
"""Each has an image."""

_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w,-]+)\])?")
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def compose() -> dict[str, Any]:
    """docker-compose.yml, its anchors resolved and its variables not."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def containers(service: str) -> dict[str, dict[str, str]]:
    """The environments of all containers that run this service's image, by the container's name."""
    return {
        name: {key: str(value) for key, value in container["environment"].items()}
        for name, container in compose()["services"].items()
        if container["image"] == f"natter/{service}"
    }


def from_shell(environment: Mapping[str, str]) -> dict[str, set[str]]:
    """By each variable of a container: the shell's variables that it is made of."""
    return {key: {name for name, _ in _VARIABLE.findall(value)} for key, value in environment.items()}


def resolved(environment: Mapping[str, str], shell: Mapping[str, str]) -> dict[str, str]:
    """What a container gets; as with compose, a variable of the shell that is empty is one that is not set."""
    return {
        key: _VARIABLE.sub(lambda match: shell.get(match[1]) or match[2], value) for key, value in environment.items()
    }


def dockerfile(service: str) -> str:
    """The text of a service's Dockerfile."""
    return (ROOT / "services" / service / "Dockerfile").read_text()


def canonical(name: str) -> str:
    """A distribution's name as everybody writes it: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(path: str) -> dict[str, str]:
    """Versions by the names of a lock file's packages."""
    lines = (ROOT / path).read_text()
    return {canonical(name): version for name, version in re.findall(r"^([\w.-]+)==([^ ;\\]+)", lines, re.M)}


def project(folder: str) -> dict[str, Any]:
    """The `project` table of a package's pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    return found


def wanted(folder: str, extras: set[str] | None = None) -> set[str]:
    """What a package of ours needs of others, also by those of ours that it names; `extras` are of it, None: all."""
    told = project(folder)
    optional: dict[str, list[str]] = told.get("optional-dependencies", {})
    lines = [
        *told["dependencies"],
        *(one for name in optional if extras is None or name in extras for one in optional[name]),
    ]
    found = set()
    for name, of_it in (_REQUIREMENT.findall(line)[0] for line in lines):
        if name.startswith("natter-"):
            found |= wanted(f"libs/{name.removeprefix('natter-')}", set(of_it.split(",")))
        else:
            found.add(canonical(name))
    return found


class Location(NamedTuple):
    """One `location` of deploy/nginx/nginx.conf."""

    modifier: str
    """`=`, `~` for a pattern, or empty for a prefix."""
    path: str
    directives: dict[str, str]
    """What stands in it; of directives that may come several times, the last."""


NGINX = re.sub(r"^\s*#.*$", "", (ROOT / "deploy" / "nginx" / "nginx.conf").read_text(), flags=re.M)
"""Without its comments."""


def locations() -> list[Location]:
    """Every location, the named ones (`@…`) included."""
    found = re.findall(r"location (?:(=|~) )?(\S+) \{(.*?)\n        \}", NGINX, re.S)
    return [
        Location(modifier, path, dict(re.findall(r"^\s*(\w+) (.*);$", body, re.M))) for modifier, path, body in found
    ]


def location_of(path: str) -> Location:
    """Where nginx sends a path: to the exact location, to the first whose pattern fits, or to the longest prefix."""
    exact = [one for one in locations() if one.modifier == "=" and one.path == path]
    exact += [one for one in locations() if one.modifier == "~" and re.search(one.path, path)]
    prefixes = [one for one in locations() if not one.modifier and path.startswith(one.path)]
    return exact[0] if exact else max(prefixes, key=lambda one: len(one.path))


def nginx_bytes(size: str) -> int:
    """A size as nginx writes it: 1024, 16k, 26m."""
    unit = {"k": 1024, "m": 1024**2}.get(size[-1].lower())
    return int(size[:-1]) * unit if unit else int(size)
