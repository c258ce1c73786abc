"""A hook of the wheel's builder: ROOST_COMPILE=1 puts the compiled modules into the wheel.

Without it the wheel is pure Python, good everywhere, and needs no compiler: so is what
`pip install .` makes.  An editable install is pure too; `make fast` compiles its modules in place.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "ROOST_COMPILE"
# As in the extra `test`, whose mypy judges the same sources; it has to see what they import, too.
NEEDED = ["mypy>=1.15,<3", "setuptools>=77", "types-protobuf>=6,<8", "types-pyyaml>=6.0.12,<7"]


class CompileHook(BuildHookInterface):
    """Compiles into a folder of its own, and gives what came of it to the wheel."""

    PLUGIN_NAME = "custom"

    @property
    def _is_asked(self) -> bool:
        return os.environ.get(VARIABLE, "") not in ("", "0") and self.target_name == "wheel"

    def dependencies(self) -> list[str]:
        """What has to be installed to build; pure wheels need none of it."""
        return [*NEEDED, *self.metadata.core.dependencies] if self._is_asked else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, before the files of the wheel are gathered."""
        if not self._is_asked or version == "editable":
            return
        self._made = tempfile.TemporaryDirectory(prefix="roost-")
        made = Path(self._made.name)
        program = Path(self.root, "compiling", "compile.py")
        subprocess.run([sys.executable, program, "--into", made], check=True)
        for path in sorted(it for it in made.rglob("*") if it.is_file()):
            build_data["force_include"][str(path)] = path.relative_to(made).as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Remove what the wheel has now."""
        if hasattr(self, "_made"):
            self._made.cleanup()
