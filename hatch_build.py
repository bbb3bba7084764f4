"""Puts what has to be built into wheel and sdist: `hatchling` calls this."""

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """
    Build the pages' scripts and the translations, where they are not up to date.

    A machine that cannot is told so in a line, and gets a package that works:
    its pages load their sources, and show answers as plain text while they are
    written. What an sdist was given is up to date wherever it is unpacked.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        runpy.run_path(str(Path(self.root) / "scripts" / "build_assets.py"))["main"]()
