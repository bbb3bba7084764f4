"""
Environments for the peers whose packages are kept out of the lock.

``python -m bench.peers.environments`` makes those that are missing or whose
requirements have changed. Nothing else does: a benchmark installs nothing.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from bench.process import ROOT

HOME = ROOT / ".bench"
PEERS = ("burr", "chainlit")
PIP = ("-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input", "-r")


def requirements(peer: str) -> Path:
    return Path(__file__).with_name(f"requirements-{peer}.txt")


def installed(peer: str) -> Path:
    """Return where a copy of the requirements is put once they are installed."""
    return HOME / peer / "requirements.txt"


def interpreter(peer: str) -> str:
    return str(HOME / peer / "bin" / "python")


def is_ready(peer: str) -> bool:
    """Return whether a peer's environment holds what its requirements ask for now."""
    copy = installed(peer)
    return copy.exists() and copy.read_bytes() == requirements(peer).read_bytes()


def pins(peer: str) -> list[str]:
    """Return name and version of each package that a peer's requirements name."""
    lines = requirements(peer).read_text().splitlines()
    return [line.replace("==", " ") for line in lines if "==" in line]


def make(peer: str) -> None:
    """Make a peer's environment anew. Raise CalledProcessError if that fails."""
    directory = HOME / peer
    subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
    subprocess.run([interpreter(peer), *PIP, requirements(peer)], check=True)
    # Last, so that an environment which is not complete is made again.
    shutil.copyfile(requirements(peer), installed(peer))


def main() -> int:
    failed = []
    for peer in PEERS:
        if is_ready(peer):
            continue
        print(f"Installing {', '.join(pins(peer))} …", flush=True)
        try:
            make(peer)
        except subprocess.CalledProcessError:
            failed.append(peer)
    if failed:
        print(f"Not installed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    raise SystemExit(main())
