"""A backup of a running site becomes a site."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import httpx
import pytest

from tests.guarantees.readers import text_of
from tests.guarantees.sites import WIDE_LIMITS, People, database_path
from tests.servers import BASE_DIR, DaphneSite, ServerFailed
from tests.upstream import words_text


@pytest.fixture
def people_of():
    """A function that signs people up on a site."""
    made = []

    def sign_up(site):
        made.append(People(site))
        return made[-1]

    yield sign_up
    for people in made:
        people.close()


def run_documented(title, *, changes, **env):
    """Run the commands that docs/operations.md gives, up to the start of the site."""
    text = (BASE_DIR / "docs/operations.md").read_text()
    commands = re.search(rf"To {title}.*?```console\n(.*?)```", text, re.DOTALL)[1]
    *commands, start = commands.strip().splitlines()
    assert start.endswith("manage.py start")
    script = "\n".join(commands)
    for old, new in changes.items():
        assert old in script
        script = script.replace(old, str(new))
    subprocess.run(["bash", "-euc", script], check=True, env=os.environ | env)


def messages_page(site, conversation, name):
    with httpx.Client(base_url=site.url, cookies=site.login(name)) as client:
        return client.get(f"/c/{conversation}/").raise_for_status().text


def test_a_backup_made_while_an_answer_streams_becomes_a_site(site_factory, people_of, tmp_path):
    site = site_factory(env=WIDE_LIMITS)
    ada = people_of(site).ada
    finished = ada.ended(ada.ask("Echo me.", model="openai:echo"))
    running = ada.ask("Count.", model="openai:words:5000@200")
    file = tmp_path / "chat.sqlite3"
    with ada.follow(running["id"]) as stream:
        events = iter(stream)
        read = [next(events) for _ in range(20)]
        printed = site.manage("backup", str(file))
        read += [next(events) for _ in range(20)]  # It goes on meanwhile.
    assert str(file) in printed
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [file.name]
    assert [event.cursor for event in read] == list(range(1, len(read) + 1))
    ada.stop(running["id"])
    with closing(sqlite3.connect(file)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    restored = DaphneSite(env=WIDE_LIMITS, upstream=site.upstream)
    restored.data_dir.rmdir()
    (tmp_path / "secret_key").write_text("a key")
    run_documented(
        "restore SQLite",
        changes={
            "/backups/chat-2026-12-01.sqlite3": file,
            "/backups/": f"{tmp_path}/",
            "/srv/chat/restored": restored.data_dir,
        },
    )
    assert (restored.data_dir / "secret_key").read_text() == "a key"
    with restored:
        page = messages_page(restored, finished["conversation"], "ada")
        assert "Echo me." in page
        with httpx.Client(base_url=restored.url, headers=ada.http.headers) as client:
            path = f"/api/v1/generations/{running['id']}/"
            found = client.get(path).raise_for_status().json()
            assert found["status"] == "interrupted"
            path = f"/api/v1/conversations/{running['conversation']}/messages/"
            answer = client.get(path).json()["items"][-1]["text"]
        assert words_text(5000).startswith(answer)
        assert not answer or text_of(read).startswith(answer[:20])
        with closing(sqlite3.connect(database_path(restored))) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_nothing_is_overwritten_and_nothing_half_written_left(live_site, tmp_path):
    file = tmp_path / "kept"
    file.write_text("precious")
    with pytest.raises(ServerFailed, match="Name a new file"):
        live_site.manage("backup", str(file))
    assert file.read_text() == "precious"
    with pytest.raises(ServerFailed, match="cannot be written"):
        live_site.manage("backup", str(tmp_path / "missing" / "file"))
    assert os.listdir(tmp_path) == ["kept"]


def test_a_damaged_database_is_said_to_be(site_factory, tmp_path):
    site = site_factory()
    site.stop()
    with database_path(site).open("r+b") as database:
        database.seek(4096 * 3)
        database.write(b"\xff" * 4096 * 3)
    with pytest.raises(ServerFailed, match=r"damaged|cannot be copied"):
        site.manage("backup", str(tmp_path / "copy"))
    assert os.listdir(tmp_path) == []


def test_postgres(site_factory, people_of, postgres_server, tmp_path):
    url = postgres_server.create_database("to_back_up")
    site = site_factory(env=WIDE_LIMITS | {"DATABASE_URL": url})
    ada = people_of(site).ada
    finished = ada.ended(ada.ask("Echo me.", model="openai:echo"))
    file = tmp_path / "chat.dump"
    site.manage("backup", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    run_documented(
        "restore PostgreSQL",
        changes={"/backups/chat-2026-12-01.dump": file},
        PGHOST="127.0.0.1",
        PGPORT=str(postgres_server.port),
        PGUSER="postgres",
    )
    restored = postgres_server.url_of("chat_restored")
    other = site_factory(env=WIDE_LIMITS | {"DATABASE_URL": restored}, upstream=site.upstream)
    assert "Echo me." in messages_page(other, finished["conversation"], "ada")


def test_without_pg_dump_the_command_to_run_elsewhere_is_said(
    site_factory, postgres_server, tmp_path
):
    url = postgres_server.create_database("no_tools").replace("postgres@", "postgres:hidden@")
    site = site_factory(env={"DATABASE_URL": url})
    file = tmp_path / "chat.dump"
    done = subprocess.run(
        [sys.executable, "manage.py", "backup", str(file)],
        cwd=BASE_DIR,
        env=site.env | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    command = f"pg_dump --format=custom --no-owner --file={file} --host=127.0.0.1"
    assert command in done.stderr
    assert "hidden" not in done.stderr
    assert os.listdir(tmp_path) == []
