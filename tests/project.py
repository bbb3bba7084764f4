"""Somebody else's project that has the wheel: three lines, a user model and a base template."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import httpx

from tests.servers import BASE_DIR, OURS, Server, free_port
from tests.upstream import FakeUpstream

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
CHAT = {"MODEL": "openai:fake", "TITLES": False}
"""
URLS = """
from django.urls import include
from django.views.generic import TemplateView
urlpatterns += [path("chat/", include("chat.urls"))]
urlpatterns += [path("", TemplateView.as_view(template_name="front.html"))]
"""
TEMPLATES = {
    "base.html": "<!doctype html><html lang=en><head><title>A project</title>"
    "{% block extra %}{% endblock %}</head>"
    "<body><header>The project's header</header>{% block content %}{% endblock %}</body></html>",
    "chat/base.html": '{% extends "base.html" %}{% load chat %}'
    "{% block extra %}{% chat_head %}{% block head %}{% endblock %}{% endblock %}"
    '{% block content %}<div class="{% block body_class %}{% endblock %}">'
    "{% block chat_body %}{% endblock %}</div>{% endblock %}",
    "front.html": '{% extends "base.html" %}{% load chat %}'
    "{% block content %}<main><h1>Front</h1>{% chat_embed %}"
    '{% chat_embed class="chat-embed-tall" %}</main>{% endblock %}',
}


class Project(Server):
    """
    A project made by `startproject` in an environment that has the wheel, not the checkout.

    Its chat is at ``/chat/``; ``chat`` is what helpers of tests take for a site.
    """

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.upstream = FakeUpstream()
        self.chat = Mounted(self)
        self.root = self.folder / "site"
        self.python = str(self.folder / "venv/bin/python")
        self.env = {name: value for name, value in os.environ.items() if not OURS.match(name)}
        self.env |= {"DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": str(self.root)}
        self.env |= {"OPENAI_API_KEY": "sk-upstream", "CHAT_DRAIN_SECONDS": "0"}
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

    def manage(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.python, "manage.py", *arguments]
        return subprocess.run(command, cwd=self.root, env=self.env, capture_output=True, text=True)

    @contextmanager
    def changed(self, name: str, old: str, new: str) -> Iterator[Path]:
        """Have a file of the project say something else inside the block."""
        path = self.root / name
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new))
        try:
            yield path
        finally:
            path.write_text(before)

    def start(self) -> Self:
        self.upstream.__enter__()
        self.env["OPENAI_BASE_URL"] = self.upstream.base_url
        return super().start()

    def close(self) -> None:
        super().close()
        self.upstream.__exit__(None, None, None)

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


class Mounted:
    """The chat of a project, under its prefix."""

    def __init__(self, project: Project) -> None:
        self.url = f"{project.url}/chat"
        self.ws_url = f"ws://127.0.0.1:{project.port}/chat"
        self.upstream = project.upstream
        self.manage = project.manage

    def run(self, code: str) -> str:
        return self.manage("shell", "-v0", "-c", code)
