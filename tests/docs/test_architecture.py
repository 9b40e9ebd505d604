"""The absences that ARCHITECTURE.md promises, read from the source: what nobody imports, nobody can do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .pages import ROOT

CHAT_API = "services/chat-api/src/chat_api"
WS_EDGE = "services/ws-edge/src/ws_edge"
NOTIFIER = "services/notifier/src/notifier"
WEB = ROOT / "web" / "src"
CORE = "service/websocket/core"
# What a browser gives to every script: the core is given what it needs.
DOM = re.compile(
    r"\b(window|document|navigator|location|localStorage|sessionStorage|indexedDB|fetch|WebSocket|BroadcastChannel"
    r"|addEventListener|setTimeout|setInterval|performance|crypto)\b(?!\s*:)|\b(Date\.now|Math\.random)\b"
)


def modules(*folders: str) -> list[Path]:
    """Every module in or below the folders (or the one module that is named)."""
    found = [file for folder in folders for file in [ROOT / folder] if file.suffix == ".py"]
    found += [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    assert found, folders
    return found


def imports(module: Path) -> Iterator[str]:
    """What a module imports, anywhere in it: `nats.js`, `contracts.codes.ErrorCode`."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str, *folders: str) -> set[str]:
    """Which modules import `package` or something below it."""
    return {
        module.relative_to(ROOT).as_posix()
        for module in modules(*folders)
        if any(f"{one}.".startswith(f"{package}.") for one in imports(module))
    }


@pytest.mark.parametrize("folder", ["http", "commands", "store", "domain"])
def test_no_request_handler_can_reach_nats(folder: str) -> None:
    """What carries out a request has no client of NATS to publish with."""
    assert importers("nats", f"{CHAT_API}/{folder}") == set()
    assert importers("kit.bus", f"{CHAT_API}/{folder}") == set()


def test_events_leave_by_one_door() -> None:
    """Only the relay builds an event's subject."""
    users = {
        module.relative_to(ROOT).as_posix()
        for module in modules(CHAT_API, WS_EDGE, NOTIFIER)
        if "subjects.event(" in module.read_text()
    }
    assert users == {f"{CHAT_API}/relay/relay.py"}


@pytest.mark.parametrize("driver", ["sqlalchemy", "asyncpg", "alembic"])
def test_an_edge_has_no_database(driver: str) -> None:
    """No driver in the sources of ws-edge, and none among its dependencies."""
    assert importers(driver, WS_EDGE) == set()
    assert driver not in (ROOT / "services" / "ws-edge" / "pyproject.toml").read_text()


@pytest.mark.parametrize("library", ["picows", "websockets", "wsproto"])
def test_sockets_are_held_by_edges_alone(library: str) -> None:
    """Nobody but ws-edge imports a WebSocket library, and there one file does."""
    assert importers(library, CHAT_API, NOTIFIER, "libs/kit/src", "libs/contracts/src") == set()
    allowed = {f"{WS_EDGE}/transport.py"} if library == "picows" else set()
    assert importers(library, WS_EDGE) == allowed


def test_the_notifier_writes_in_its_own_schema() -> None:
    """Every statement of the notifier names the schema `notifier`, and none the tables of chat-api."""
    for module in modules(NOTIFIER):
        text = module.read_text()
        for word in ("INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE "):
            for place in text.split(word)[1:]:
                target = place.split()[0]
                # Prose and clauses (`FOR UPDATE SKIP`, `ON … DO UPDATE SET`) begin otherwise.
                if target.isupper() or not target[0].isalpha():
                    continue
                assert target.startswith("notifier."), (module.name, word, target)


@pytest.mark.parametrize(
    "pure",
    [
        f"{CHAT_API}/domain",
        f"{WS_EDGE}/session",
        f"{WS_EDGE}/registry.py",
        f"{WS_EDGE}/seen.py",
        f"{WS_EDGE}/rfc6455.py",
        f"{NOTIFIER}/decide.py",
        f"{NOTIFIER}/retry.py",
    ],
)
def test_decisions_never_wait(pure: str) -> None:
    """No `async`, no `await`: input in, decision out."""
    for module in modules(pure):
        waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
        assert not any(isinstance(node, waits) for node in ast.walk(ast.parse(module.read_text()))), module.name


def test_subjects_are_written_in_one_place() -> None:
    """No service spells a `natter.…` subject in code; it asks contracts.subjects for one, which checks its tokens."""
    for module in modules(CHAT_API, WS_EDGE, NOTIFIER):
        tree = ast.parse(module.read_text())
        prose = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                spelled = node.value.startswith(("natter.user", "natter.events", "natter.offline", "natter.command"))
                assert not spelled, (module.name, node.lineno, node.value)


def scripts(*folders: str) -> list[Path]:
    """The browser's modules in or below the folders of `web/src`, without tests and what is made from schemas."""
    found = [
        file
        for folder in folders
        for file in sorted((WEB / folder).rglob("*.ts*"))
        if ".test." not in file.name and "generated" not in file.parts
    ]
    assert found, folders
    return found


def taken(script: Path) -> set[str]:
    """What a module imports: a path below `web/src`, or a package's name."""
    named = re.findall(r"""(?:from|import\(|import)\s*"([^"]+)\"""", script.read_text())
    return {
        (script.parent / one).resolve().relative_to(WEB).as_posix() if one.startswith(".") else one for one in named
    }


def takers(of: str, *folders: str) -> set[str]:
    """Which modules of the folders import something that `of` matches from its beginning."""
    return {
        script.relative_to(WEB).as_posix()
        for script in scripts(*folders)
        if any(re.match(of, one) for one in taken(script))
    }


def test_what_pages_stand_on_knows_no_react() -> None:
    """`service/` and `config/` work without React, and know nothing of those who show them."""
    assert takers(r"react|@mantine|@tabler|i18next|(hooks|components|app|testing)/", "service", "config") == set()


def test_the_client_core_knows_no_dom() -> None:
    """It imports itself and its types, and names nothing that a browser has: time, chance and sockets are given."""
    assert takers(rf"(?!{CORE}/|service/websocket/types$)", CORE) == set()
    for script in scripts(CORE):
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", script.read_text(), flags=re.DOTALL)
        found = DOM.search(code)
        assert found is None, (script.name, found)


def test_the_socket_knows_no_chat() -> None:
    """Below `websocket/` only two words of the pages' model are taken, as types."""
    assert takers(r"service/(?!websocket/|generated/)", "service/websocket") == {"service/websocket/types.ts"}
    assert taken(WEB / "service/websocket/types.ts") == {"service/chat/model"}


def test_parts_know_no_pages() -> None:
    """Whoever copies hooks and components has two to replace: those that ask the application itself."""
    assert takers(r"app/", "hooks", "components") == {
        "components/header/LanguageSwitch.tsx",
        "components/shell/PushSwitch.tsx",
    }


def test_no_text_becomes_markup() -> None:
    """Nothing in the pages takes a text for HTML."""
    markup = re.compile(r"dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser")
    found = [script.name for script in scripts(".") if markup.search(script.read_text())]
    assert found == []
