"""The house rules that a machine can keep."""

import ast
import logging
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.utils.module_loading import import_string

MAX_MODULE = 300
MAX_FUNCTION = 40
MODULES = sorted(
    path
    for folder in ("chat", "chatsite")
    for path in (settings.BASE_DIR / folder).rglob("*.py")
    if "migrations" not in path.parts
)

# Below them, each has a defect or a hole that this site would show.
LOWEST_VERSIONS = {
    "django": (5, 2, 19) if sys.version_info < (3, 12) else (6, 1, 3),
    "channels": (4, 3, 2),
    "daphne": (4, 2, 3),
    "redis": (5, 3),
    "uvicorn": (0, 54),
    "langchain-core": (1, 7),
    "openai": (3, 51),
    "psycopg": (3, 2),
}

LAZY = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
import chat.consumers, chat.routing, chatsite.asgi
loaded = {name.partition(".")[0] for name in sys.modules}
LIBRARIES = {"langchain_core", "langchain_community", "langgraph", "langsmith", "openai"}
print(*sorted(loaded & LIBRARIES))
"""


def test_imports_point_down_only():
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [command], cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_site_starts_without_loading_the_model_libraries():
    done = subprocess.run(
        [sys.executable, "-c", LAZY], cwd=settings.BASE_DIR, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("package", LOWEST_VERSIONS)
def test_no_package_is_older_than_is_safe(package):
    try:
        installed = version(package)
    except PackageNotFoundError:
        pytest.fail(f"{package} is not installed")
    numbers = tuple(int(part) for part in installed.split(".")[:3] if part.isdecimal())
    assert numbers >= LOWEST_VERSIONS[package]


@pytest.mark.parametrize("path", settings.MIDDLEWARE)
def test_every_middleware_is_async_capable(path):
    assert import_string(path).async_capable


def test_no_middleware_is_adapted(settings, caplog):
    settings.DEBUG = True  # Django speaks of it only then.
    with caplog.at_level(logging.DEBUG, logger="django.request"):
        ASGIHandler()
    assert [record.message for record in caplog.records if "adapted" in record.message] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(settings.BASE_DIR)))
def test_modules_and_functions_stay_small(path):
    source = path.read_text()
    lines = source.count("\n")
    assert lines <= MAX_MODULE
    functions = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    long = [
        f"{function.name}: {length} lines"
        for function in functions
        if (length := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION
    ]
    assert long == []
