"""The page's bundle is built when it can be, and nobody is stopped when it cannot."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

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
