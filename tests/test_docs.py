"""The documentation says what the code does: names, defaults, codes, links, commands."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest
from django.test import Client
from jsonschema import Draft202012Validator
from websockets.sync.client import connect

from chat import errors, sockets
from chat.conf import KEYS, MAX_BODY_BYTES, MAX_FRAME_BYTES, MAX_UPLOAD_BYTES, ChatSettings
from chat.events import TERMINAL, EventKind
from chat.views import answers, api, attachments, kept, persona_api, queues, ratings
from chat.wire.frames import ClientFrame
from scripts import schemas
from tests.servers import Site

BASE_DIR = Path(__file__).resolve().parent.parent
PAGES = [*BASE_DIR.glob("*.md"), *BASE_DIR.glob("docs/**/*.md"), *BASE_DIR.glob("bench/*.md")]
README = (BASE_DIR / "README.md").read_text()
PROTOCOL = (BASE_DIR / "docs/protocol.md").read_text()
CLIENTS = (BASE_DIR / "docs/clients.md").read_text()
SCHEMAS = BASE_DIR / "docs/schemas"


def rows(text: str, section: str) -> dict[str, list[str]]:
    """Return the cells of a section's tables by the plain text of their first one."""
    body = re.search(rf"^(#+) {section}\n(.*?)(?=^#{{1,3}} |\Z)", text, re.DOTALL | re.MULTILINE)
    assert body, f"There is no section {section!r}."
    found = {}
    for line in body[2].splitlines():
        if line.startswith("|") and not line.startswith("|--"):
            first, *others = (cell.strip() for cell in line.strip("|").split("|"))
            found[first.replace("`", "")] = others
    return found


def shown(key: str) -> str:
    """Return how the README writes the default of a setting."""
    default: Any = getattr(ChatSettings(), key.lower())
    if key == "MODEL":
        return "found at start"
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple | Mapping):
        assert not default
        return "empty"
    return f"`{default}`" if isinstance(default, str) else str(default)


def error_classes() -> list[type[errors.ChatError]]:
    classes = [c for c in vars(errors).values() if inspect.isclass(c) and hasattr(c, "code")]
    assert len(classes) > 20
    return classes


# README -------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
def test_every_setting_stands_in_the_readme_with_its_default(key):
    default, meaning = rows(README, "Configuration")[f"CHAT_{key}"]
    assert default == shown(key)
    assert len(meaning) > 10


def test_the_readme_names_no_setting_that_does_not_exist():
    named = {name for name in rows(README, "Configuration") if name.startswith("CHAT_")}
    assert named == {f"CHAT_{key}" for key in KEYS} | {"CHAT_DATA_DIR"}
    for page in PAGES:
        mentioned = set(re.findall(r"\bCHAT_([A-Z][A-Z_]*[A-Z])\b", page.read_text()))
        assert mentioned <= {*KEYS, "DATA_DIR", "FAILPOINT"}, page.name


def test_every_variable_that_the_settings_read_stands_in_the_readme():
    source = (BASE_DIR / "chatsite/settings.py").read_text()
    read = set(re.findall(r"env(?:iron)?\.\w+\(\s*\"([A-Z_]+)\"", source))
    assert {"DATABASE_URL", "HTTPS", "LANGSMITH_TRACING"} <= read
    assert read <= set(rows(README, "Configuration"))


def test_every_make_command_exists():
    makefile = (BASE_DIR / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        lines = re.findall(r"^(?:\S+=\S+ )*make ([a-z-]+)", page.read_text(), re.MULTILINE)
        named = {*lines, *re.findall(r"`make ([a-z-]+)", page.read_text())}
        assert named <= targets, page.name
    assert {"run", "test"} <= set(re.findall(r"^make ([a-z-]+)$", README, re.MULTILINE))


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not here")
def test_the_commands_for_programs_work(live_site: Site):
    live_site.upstream.reset()
    live_site.upstream.script("words:30")
    live_site.create_user()
    script = "\n".join(re.findall(r"^```bash\n(.*?)^```", README, re.DOTALL | re.MULTILINE))
    script = script.replace("http://127.0.0.1:8000", live_site.url).replace(
        ".venv/bin/python", sys.executable
    )
    done = subprocess.run(
        ["bash", "-euc", f"set -o pipefail\n{script}"],
        cwd=BASE_DIR,
        env=live_site.env | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    first, second = (part for part in done.stdout.split("event: done")[:2])
    assert "event: started" in first
    assert "\nid: 1\n" not in second
    assert done.stdout.count("event: done") == 2
    assert len(live_site.upstream.journal) == 1


# Protocol -----------------------------------------------------------------------


def test_every_event_kind_is_documented():
    table = rows(PROTOCOL, "Events")
    assert set(table) == {"kind", *EventKind}
    terminal = {kind for kind, (_, meaning) in table.items() if meaning.startswith("Terminal")}
    assert terminal == TERMINAL
    assert set(json.loads((SCHEMAS / "events.json").read_text())["$defs"]) == set(EventKind)


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.code)
def test_every_error_is_documented(error):
    status, retryable, meaning = rows(PROTOCOL, "Errors")[error.code]
    assert status == str(error.status)
    assert retryable == ("yes" if error.retryable else "no")
    assert meaning


def test_no_error_is_documented_that_does_not_exist():
    assert set(rows(PROTOCOL, "Errors")) == {"code", *(error.code for error in error_classes())}


def test_every_close_code_is_documented():
    codes = {v for v in vars(sockets).values() if type(v) is int and 4000 <= v < 5000}
    documented = set(rows(PROTOCOL, "Close codes"))
    assert len(codes) >= 4
    assert {str(code) for code in codes} == {code for code in documented if code.startswith("4")}


def test_every_client_frame_is_documented():
    table = rows(PROTOCOL, "Client frames")
    models = {get_args(m.model_fields["type"].annotation)[0]: m for m in get_args(ClientFrame)}
    assert set(table) == {"type", *models}
    for name, model in models.items():
        fields = set(re.findall(r"`(\w+)\??`", table[name][0]))
        assert fields == set(model.model_fields) - {"type"}, name
        optional = set(re.findall(r"`(\w+)\?`", table[name][0]))
        assert optional == {k for k, v in model.model_fields.items() if not v.is_required()}, name


def test_the_limits_of_the_protocol_are_documented():
    table = rows(PROTOCOL, "Limits")
    assert table["frame"][0] == f"{MAX_FRAME_BYTES:,} bytes".replace(",", " ")
    files = next(limit for what, (limit, _) in table.items() if what.startswith("form with files"))
    assert files == f"{MAX_UPLOAD_BYTES:,} bytes".replace(",", " ")
    assert table["HTTP body"][0] == f"{MAX_BODY_BYTES:,} bytes".replace(",", " ")


def test_the_api_describes_every_path_of_itself():
    answer = Client(headers={"host": "localhost"}).get("/api/v1/openapi.json")
    assert answer.status_code == 200
    described = {
        (method.upper(), path)
        for path, operations in answer.json()["paths"].items()
        for method in operations
    }
    modules = (answers, api, attachments, kept, persona_api, queues, ratings)
    source = "".join(map(inspect.getsource, modules))
    found = re.findall(r"@api\.(\w+)\(\s*\"([^\"]+)\"", source)
    served = {(method.upper(), "/api/v1" + path.replace("{uuid:", "{")) for method, path in found}
    assert len(served) > 10
    assert described == served
    documented = re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`\s]*)", PROTOCOL)
    named = {tuple(request.partition("?")[0].split(" ")) for request in documented}
    assert named == {(method, path.removeprefix("/api/v1")) for method, path in served}


def test_the_schema_of_client_frames_is_the_generated_one():
    assert schemas.FILE.read_text() == schemas.client_frames()


@pytest.mark.parametrize("name", ["client-frames", "events", "server-frames"])
def test_the_schemas_are_valid(name):
    Draft202012Validator.check_schema(json.loads((SCHEMAS / f"{name}.json").read_text()))


def test_real_frames_follow_the_schemas(live_site: Site):
    live_site.upstream.reset()
    live_site.upstream.script("status:503", "words:5")
    live_site.create_user("bob")
    headers = {"Authorization": f"Bearer {live_site.create_api_key('bob')}"}
    frames = []
    with connect(f"{live_site.ws_url}/ws/chat/", additional_headers=headers) as socket:
        socket.send(json.dumps({"type": "send", "id": "a", "text": "A question"}))
        socket.send('{"type": "ping"}')
        socket.send("not JSON")
        socket.send(json.dumps({"type": "follow", "generation": str(UUID(int=0))}))
        while not frames or not is_over(frames[-1]):
            frames.append(json.loads(socket.recv(timeout=20)))
    schema = json.loads((SCHEMAS / "server-frames.json").read_text())
    event_schema = json.loads((SCHEMAS / "events.json").read_text())
    for frame in frames:
        Draft202012Validator(schema).validate(frame)
        for event in frame.get("events", ()):
            Draft202012Validator(event_schema).validate(event)
    assert {frame["type"] for frame in frames} == set(schema["$defs"])
    assert set(rows(PROTOCOL, "Server frames")) == {"type", *schema["$defs"]}
    for name, (fields, _) in rows(PROTOCOL, "Server frames").items():
        if name != "type":
            documented = {f.strip("?") for f in re.findall(r"`(\w+\??)`", fields)}
            assert documented == set(schema["$defs"][name]["properties"]) - {"type"}, name


def is_over(frame: dict[str, Any]) -> bool:
    """The last frame of an answer: nothing is being written any more."""
    return frame["type"] == "conversation" and frame.get("running", "") is None


# Clients ------------------------------------------------------------------------


def locked() -> set[tuple[str, str]]:
    """Return what is installed for the tests, as (name, version)."""
    lock = (BASE_DIR / "requirements.lock").read_text()
    found = set(re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE))
    package = json.loads((BASE_DIR / "tests/clients/package.json").read_text())
    for name, version in package["dependencies"].items():
        alias = re.fullmatch(r"npm:(.+)@([^@]+)", version)
        found.add((alias[1], alias[2]) if alias else (name, version))
    return found


def test_every_client_is_proved_at_the_version_that_is_documented():
    table = rows(CLIENTS, "Proved with")
    table.pop("client")
    assert len(table) > 10
    for client, (version, _, proof) in table.items():
        assert proof, client
        if version != "the system's":
            assert (re.match(r"[@\w/-]+", client)[0], version) in locked(), client


# Architecture -------------------------------------------------------------------


def test_the_layers_are_those_of_the_contract():
    project = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())
    contract = project["tool"]["importlinter"]["contracts"][0]["layers"]
    table = rows((BASE_DIR / "docs/architecture.md").read_text(), "Layers")
    table.pop("layer")
    documented = [set(re.findall(r"`(chat[.\w]*)`", modules)) for modules, _ in table.values()]
    assert documented == [set(re.findall(r"[a-z._]+", layer)) for layer in contract]


# Traces -------------------------------------------------------------------------


def test_every_capability_of_burrs_tracking_is_accounted_for_once():
    section = "What Burr's tracking shows, and what became of it here"
    text = (BASE_DIR / "docs/traces.md").read_text()
    assert re.findall(r"^\| (B\d\d) \|", text, re.MULTILINE) == [f"B{n:02}" for n in range(1, 61)]
    for name, (capability, here) in rows(text, section).items():
        if name != "id":
            assert len(capability) > 5, name
            assert re.match(r"(Yes|In part|No)\b", here), name


# Links --------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(BASE_DIR)))
def test_every_relative_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_contributing_fits_a_screen():
    assert len((BASE_DIR / "CONTRIBUTING.md").read_text().splitlines()) <= 40
