"""What pages load is small; it is bundled when it can be, and nobody is stopped when it cannot."""

import gzip
import html
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import urljoin

import httpx
import pytest

from chat.assets import is_built
from tests.servers import Site

MAX_KB = 120
ASSET = re.compile(r'(?:src|href)="(/static/[^"#]+\.(?:js|css))"')
LIVE = re.compile(r'"live": "([^"]+)"')
# What a source loads by itself, where there is no bundle.
IMPORTED = re.compile(r"""(?:^|\s)@?import\s[^"';]*?["'](\./[\w.-]+|[\w.-]+\.css)["']""")
BASE_DIR = Path(__file__).resolve().parent.parent


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The build script, with the folder of the bundle elsewhere."""
    spec = importlib.util.spec_from_file_location("build", BASE_DIR / "scripts/build_assets.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "BUNDLE", tmp_path / "live.js")
    monkeypatch.setattr(module, "STAMP", tmp_path / "built-from")
    return module


def test_a_machine_that_cannot_build_is_told_so_in_one_line(
    builder: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_node() -> None:
        raise builder.NotBuilt("there is no node.")

    monkeypatch.setattr(builder, "with_node", no_node)
    assert builder.main() == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert not builder.STAMP.exists()


def test_what_is_up_to_date_is_left(builder: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.BUNDLE.write_text("built")
    builder.STAMP.write_text(builder.fingerprint())
    monkeypatch.setattr(builder, "run", lambda *args: pytest.fail("It was built again."))
    assert builder.main() == 0


def test_a_failed_command_says_what_it_said_last(builder: ModuleType) -> None:
    with pytest.raises(builder.NotBuilt, match="the reason"):
        builder.run(["sh", "-c", "echo first; echo the reason >&2; exit 3"], {})


def test_the_lock_file_names_no_host() -> None:
    text = (BASE_DIR / "package-lock.json").read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert all("integrity" in package for path, package in packages.items() if path)


@pytest.fixture(scope="module")
def client(live_site: Site) -> Iterator[httpx.Client]:
    """Somebody who is signed in, whose browser takes gzip."""
    live_site.create_user()
    taken = {"Accept-Encoding": "gzip"}
    cookies = live_site.login()
    with httpx.Client(base_url=live_site.url, cookies=cookies, headers=taken) as client:
        yield client


def test_the_first_load_of_the_page_is_small(client: httpx.Client) -> None:
    sizes = first_load(client)
    assert {"theme.js", "base.css", "page.css", "main.js"} <= {name_of(path) for path in sizes}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    told = ", ".join(f"{name_of(path)} {size / 1000:.1f}" for path, size in largest)
    assert sum(sizes.values()) <= MAX_KB * 1000, (
        f"{sum(sizes.values()) / 1000:.1f} KB of scripts and styles; the largest: {told}"
    )


def test_bundles_are_served_as_they_were_compressed(client: httpx.Client) -> None:
    if not is_built():
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("The bundles are not of these sources: `make assets` builds them.")
    for path in page_assets(client):
        assert path.startswith("/static/chat/dist/")
        for encoding, suffix in {"gzip": "gz", "br": "br"}.items():
            with client.stream("GET", path, headers={"Accept-Encoding": encoding}) as answer:
                assert answer.headers["Content-Encoding"] == encoding, path
                assert answer.headers["Vary"] == "Accept-Encoding"
                stored = BASE_DIR / f"chat/{path.lstrip('/')}.{suffix}"
                assert b"".join(answer.iter_raw()) == stored.read_bytes()


def page_assets(client: httpx.Client) -> list[str]:
    """Return what the chat page refers to, with what its script fetches for the first answer."""
    page = client.get("/").raise_for_status().text
    return [html.unescape(path) for path in (*ASSET.findall(page), *LIVE.findall(page))]


def first_load(client: httpx.Client) -> dict[str, int]:
    """Return the bytes of each script and style of the page: as served, else as gzip would be."""
    sizes: dict[str, int] = {}
    waiting = page_assets(client)
    while waiting:
        path = waiting.pop()
        if path in sizes:
            continue
        with client.stream("GET", path) as answer:
            answer.raise_for_status()
            sent = b"".join(answer.iter_raw())
        is_small = "Content-Encoding" in answer.headers
        sizes[path] = len(sent if is_small else gzip.compress(sent))
        if "/dist/" not in path:
            waiting += [urljoin(path, name) for name in IMPORTED.findall(sent.decode())]
    return sizes


def name_of(path: str) -> str:
    return path.rpartition("/")[2]
