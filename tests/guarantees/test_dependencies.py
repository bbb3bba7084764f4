"""
X17: what is installed is what was locked, and nothing older is allowed than what is known good.

The floors are of the releases that mended what is publicly known. Whether
something has become known since, only a database of advisories can tell:
``pip-audit -r requirements.lock`` asks one.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

BASE_DIR = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())
LOCK = (BASE_DIR / "requirements.lock").read_text()
LOCKED = re.findall(r"^([A-Za-z0-9._-]+)==([^ \\]+)((?:.*\\\n.*)*)", LOCK, re.MULTILINE)

FLOORS = {
    "django": "5.2.19",
    "channels": "4.3.2",
    "daphne": "4.2.3",
    "redis": "5.3",
    "uvicorn": "0.54",
    "langchain-core": "1.7",
    "langchain-openai": "1.7",
    "openai": "3.51",
    "psycopg": "3.2",
}
# Below the floor of their own series.
BAD = {
    "django": ["5.2.18", "6.0", "6.0.5", "6.1", "6.1.2"],
    "langchain-core": ["1.3.2", "0.3.80"],
    "redis": ["4.5.3"],
    "daphne": ["4.2.2"],
}
GOOD = {"django": ["5.2.19", "6.1.3"], "redis": ["5.3", "8.1.0"]}


def declared() -> dict[str, Requirement]:
    """Return the project's own requirements by name."""
    project = PROJECT["project"]
    groups = [*project["optional-dependencies"].values(), *PROJECT["dependency-groups"].values()]
    lines = [line for group in [project["dependencies"], *groups] for line in group]
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in reversed(found)}


@pytest.mark.parametrize("name", FLOORS)
def test_x17_no_requirement_allows_what_is_below_its_floor(name):
    bounds = [each for each in declared()[name].specifier if each.operator in {">=", "==", "~="}]
    assert bounds, f"{name} has no lower bound."
    assert max(Version(each.version) for each in bounds) >= Version(FLOORS[name])


def test_x17_releases_known_to_be_bad_are_excluded():
    requirements = declared()
    for versions, is_allowed in ((BAD, False), (GOOD, True)):
        for name, each in versions.items():
            for number in each:
                assert requirements[name].specifier.contains(number) == is_allowed, (name, number)


def test_x17_every_requirement_has_a_lower_bound():
    for name, requirement in declared().items():
        operators = {each.operator for each in requirement.specifier}
        assert operators & {">=", "==", "~="}, name


@pytest.mark.parametrize("name", FLOORS)
def test_x17_what_is_installed_is_not_below_its_floor(name):
    try:
        found = Version(version(name))
    except PackageNotFoundError:
        pytest.skip("It is not installed here.")
    assert found >= Version(FLOORS[name])
    assert declared()[name].specifier.contains(found)


def test_x17_each_locked_release_is_pinned_by_its_hash():
    assert len(LOCKED) > 80
    for name, number, rest in LOCKED:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", rest), name
        assert Version(number)
    assert "--require-hashes" in (BASE_DIR / "Makefile").read_text()
    assert not re.search(r"^(-e|--|https?:|git\+)", LOCK, re.MULTILINE)


def test_x17_the_lock_holds_every_requirement_in_a_version_it_allows():
    requirements = declared()
    locked = {name: number for name, number, _ in LOCKED}
    for name, requirement in requirements.items():
        assert name in locked, name
        for each, number, _ in LOCKED:
            if each == name:
                assert requirement.specifier.contains(number), (name, number)
