"""docs/web.md says of the browser's pages what their source says: steps, settings, fields, states, and log stages."""

from __future__ import annotations

import re

from .pages import ROOT, plain, rows, section

PAGE = (ROOT / "docs" / "web.md").read_text()
WEB = ROOT / "web" / "src"
STEPS = section(PAGE, "A page with a socket, in four steps")


def source(path: str) -> str:
    """A module of `web/src`."""
    return (WEB / path).read_text()


def members(text: str, interface: str) -> list[str]:
    """The fields of an interface, in their order."""
    found = re.search(rf"^export interface {interface} \{{\n(.*?)^\}}", text, re.MULTILINE | re.DOTALL)
    assert found is not None, interface
    return re.findall(r"^  readonly (\w+)\??:", found[1], re.MULTILINE)


def words(text: str, union: str) -> list[str]:
    """The words of a union type."""
    found = re.search(rf"^export type {union} =(.*?);", text, re.MULTILINE | re.DOTALL)
    assert found is not None, union
    return re.findall(r'"(\w+)"', found[1])


def first_cells(heading: str) -> list[str]:
    """What the rows of the table below `heading` are about."""
    return [plain(row[0]) for row in rows(section(PAGE, heading))]


def test_a_page_takes_four_steps() -> None:
    """Seed row W10: four, with a complete entry of the config, a page whose imports exist, and its route."""
    assert re.findall(r"^(\d)\. \*\*", STEPS, re.MULTILINE) == ["1", "2", "3", "4"]
    config, page, route = re.findall(r"^ {3}```tsx?\n(.*?)^ {3}```", STEPS, re.MULTILINE | re.DOTALL)

    entry = config.partition('"/support": {')[2].partition("}")[0]
    assert re.findall(r"(\w+):", entry) == members(source("config/pages.ts"), "PageWebSocketConfig")

    imported = re.findall(r'import \{ (\w+) \} from "([^"]+)";', page)
    assert [name for name, _ in imported] == ["Shell", "WebSocketStatus", "useWebSocketByPage", "useSignOut"]
    for name, path in imported:
        place = (WEB / "app" / "pages" / path).resolve()
        (module,) = (one for end in ("ts", "tsx") if (one := place.with_suffix(f".{end}")).is_file())
        assert re.search(rf"export (?:function|const) {name}\b", module.read_text()), path
    assert "export default function" in page

    assert 'lazy(() => import("./pages/Support"))' in route
    assert re.search(
        r"^function page\(path: string, Page: ComponentType, only\?: Role\)", source("app/routes.tsx"), re.M
    )


def test_the_settings_of_a_page() -> None:
    """Each field of `PAGE_WEBSOCKET_CONFIG`, and each feature."""
    pages = source("config/pages.ts")
    assert first_cells("The settings of a page") == members(pages, "PageWebSocketConfig")
    (features,) = (row[1] for row in rows(section(PAGE, "The settings of a page")) if plain(row[0]) == "features")
    assert re.findall(r"`([a-z_]+)`", features) == words(pages, "PageFeature")


def test_what_the_hook_gives() -> None:
    """Each field, and no other."""
    told = section(PAGE, "What the hook gives").strip().partition("\n\n")[0]
    named = [re.match(r"\w+", one) for one in re.findall(r"`([^`]+)`", told)]
    assert [one[0] for one in named if one] == members(source("hooks/useWebSocketByPage.ts"), "WebSocketByPage")


def test_every_state_is_told() -> None:
    """In the order in which a connection meets them."""
    assert first_cells("States") == words(source("service/chat/model.ts"), "ConnectionStatus")


def test_what_the_server_says_at_run_time() -> None:
    """Each key of `/config.json`: the page reads it, and chat-api or another server says it."""
    told = {name for row in rows(section(PAGE, "Settings")) for name in re.findall(r"`(\w+)`", row[0])}
    assert told == set(re.findall(r'said\["(\w+)"\]', source("app/config.ts")))
    served = (ROOT / "services" / "chat-api" / "src" / "chat_api" / "http" / "web.py").read_text()
    assert all(f'"{name}"' in served for name in told)
    for name in re.findall(r"`(VITE_\w+)`", section(PAGE, "Settings")):
        assert name in source("app/config.ts")


def test_every_stage_of_the_log_is_told() -> None:
    """Seed row W11: the table has the stages that some module writes, and each is one that the log knows."""
    written = {
        stage
        for module in (WEB / "service").rglob("*.ts")
        if ".test." not in module.name
        for stage in re.findall(r'\blog\("(\w+)",', module.read_text())
    }
    told = first_cells("Following a message")
    assert sorted(told) == sorted(written)
    assert {"connection", "received", "merged", "repair", "stored", "outbox"} <= written
    # Of several lines, the union has each word on its own.
    (stages,) = re.findall(r"export type Stage =(.*?);\n\n", source("service/log.ts"), re.DOTALL)
    assert written <= set(re.findall(r'\| "(\w+)"', stages))


def test_the_client_core_is_one_file_each() -> None:
    """Seed row W5: the files that the user's document names, each with something to import."""
    core = [f"core/{name}.ts" for name in ("connection", "heartbeat", "reconnect", "serializer", "messageQueue")]
    for path in (*core, "adapters/messageAdapter.ts", "handlers/messageEventHandler.ts", "index.ts"):
        assert re.search(r"^export ", source(f"service/websocket/{path}"), re.MULTILINE), path
    entry = source("service/websocket/index.ts")
    assert {"SocketConnection", "messageEventHandler", "adaptMessage"} <= set(re.findall(r"\w+", entry))
