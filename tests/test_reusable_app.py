"""The wheel in an empty project: three lines, its own user model and its own base template."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import BASE_DIR, OURS, Server, free_port

USERS = """
from django.contrib.auth.models import AbstractUser
class Person(AbstractUser):
    pass
"""
SETTINGS = """
INSTALLED_APPS += ["channels", "chat"]
ASGI_APPLICATION = "chat.asgi.application"

INSTALLED_APPS += ["people"]
AUTH_USER_MODEL = "people.Person"
LOGIN_URL = "admin:login"
TEMPLATES[0]["DIRS"] = [BASE_DIR / "templates"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHAT = {"MODEL": "demo"}
"""
URLS = """
from django.urls import include
from django.views.generic import TemplateView
urlpatterns += [path("chat/", include("chat.urls"))]
urlpatterns += [path("", TemplateView.as_view(template_name="front.html"))]
"""
TEMPLATES = {
    "base.html": "<!doctype html><head>{% block extra %}{% endblock %}</head>"
    "<body><header>The project's header</header>{% block content %}{% endblock %}</body>",
    "chat/base.html": '{% extends "base.html" %}{% load chat %}'
    "{% block extra %}{% chat_head %}{% block head %}{% endblock %}{% endblock %}"
    '{% block content %}<div class="{% block body_class %}{% endblock %}">'
    "{% block chat_body %}{% endblock %}</div>{% endblock %}",
    "front.html": '{% extends "base.html" %}{% load chat %}'
    '{% block content %}{% chat_embed %}{% chat_embed class="chat-embed-tall" %}{% endblock %}',
}


class Project(Server):
    """A project made by `startproject` in an environment that has the wheel, not the checkout."""

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.root = self.folder / "site"
        self.python = str(self.folder / "venv/bin/python")
        self.env = {name: value for name, value in os.environ.items() if not OURS.match(name)}
        self.env |= {"DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": str(self.root)}
        self.env["PYTHONSAFEPATH"] = "1"  # Not the folder it is started in: that is the checkout.
        self._install()
        self._write()

    def _install(self) -> None:
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(self.folder)]
        subprocess.run(build, cwd=BASE_DIR, check=True, capture_output=True)
        venv = [sys.executable, "-m", "venv", "--without-pip", str(self.folder / "venv")]
        subprocess.run(venv, check=True)
        found = subprocess.check_output(
            [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        )
        target = Path(found.strip())
        (wheel,) = self.folder.glob("*.whl")
        pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--no-index"]
        subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
        (target / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def _write(self) -> None:
        self.root.mkdir()
        environment = self.env | {"DJANGO_SETTINGS_MODULE": ""}
        start = [self.python, "-m", "django", "startproject", "project", str(self.root)]
        subprocess.run(start, check=True, cwd=self.folder, env=environment)
        for name, text in {"project/settings.py": SETTINGS, "project/urls.py": URLS}.items():
            with (self.root / name).open("a") as file:
                file.write(text)
        people = self.root / "people"
        people.mkdir()
        (people / "__init__.py").touch()
        (people / "models.py").write_text(USERS)
        for name, text in TEMPLATES.items():
            path = self.root / "templates" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.manage("makemigrations", "people", "-v", "0")
        self.manage("migrate", "-v", "0")

    def manage(self, *arguments: str, **env: str) -> str:
        command = [self.python, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=self.root, env=self.env | env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def command(self) -> list[str]:
        # Daphne puts the folder it is started in first.
        here = ["env", "-C", str(self.root)]
        return [*here, self.python, "-m", "daphne", "-p", str(self.port), "chat.asgi:application"]

    def popen_options(self) -> dict[str, object]:
        return {"env": self.env}

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/admin/login/").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    with Project() as made:
        made.manage(
            "createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org",
            DJANGO_SUPERUSER_PASSWORD="a long enough password",
        )  # fmt: skip
        yield made


@pytest.fixture(scope="module")
def client(project: Project) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=project.url, follow_redirects=True) as client:
        page = client.get("/admin/login/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token
        form = {"username": "ada", "password": "a long enough password", "next": "/chat/"}
        client.post("/admin/login/", data=form | {"csrfmiddlewaretoken": token[1]})
        yield client


def test_what_could_be_better_is_said_with_how(project: Project) -> None:
    said = project.manage("check")
    assert "chat.W006" in said
    assert "chat.defaults.SQLITE_OPTIONS" in said
    where = project.manage("shell", "-c", "import chat; print(chat.__file__)")
    assert str(project.folder) in where
    bundle = "from django.contrib.staticfiles import finders; print(finders.find('chat/main.js'))"
    assert str(project.folder) in project.manage("shell", "-c", bundle)


def test_the_page_has_the_projects_header_and_its_files(client: httpx.Client) -> None:
    page = client.get("/chat/")
    assert page.status_code == 200
    assert "The project's header" in page.text
    files = re.findall(r'(?:src|href)="(/static/[^"#]+\.(?:js|css))"', page.text)
    assert len(files) >= 4
    assert {client.get(path).status_code for path in files} == {200}
    for address in ("account/", "archived/", "ask-demo/"):
        assert "The project's header" in client.get(f"/chat/{address}").text


def test_a_prompt_is_answered_under_the_prefix(client: httpx.Client) -> None:
    headers = {"X-CSRFToken": client.cookies["csrftoken"], "Referer": str(client.base_url)}
    made = client.post("/chat/api/v1/conversations/", json={}, headers=headers).json()
    path = f"/chat/api/v1/conversations/{made['id']}/messages/"
    sent = client.post(path, json={"text": "Say hello"}, headers=headers).json()
    generation = sent["generation"]["id"]
    events = client.get(f"/chat/api/v1/generations/{generation}/events/", timeout=60).text
    assert "event: done" in events


def test_a_page_of_the_project_shows_the_chat_in_frames(client: httpx.Client) -> None:
    frames = re.findall(r'<iframe[^>]+src="([^"]+)"', client.get("/").text)
    assert frames == ["/chat/embed/", "/chat/embed/"]
    framed = client.get(frames[0])
    assert framed.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert 'id="composer"' in framed.text
