"""What compiles the modules works where a wheel is made: of Roost's extras nothing is there."""

import ast
import re
import runpy
import subprocess
import sys
import venv
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import pytest

from roost.compiled import MODULES

ROOT = Path(__file__).parent.parent
# Read and not run: it is run by who builds, and has his package.
(NEEDED,) = (
    ast.literal_eval(it.value)
    for it in ast.parse((ROOT / "compiling" / "hatch_build.py").read_text()).body
    if isinstance(it, ast.Assign) and ast.unparse(it.targets[0]) == "NEEDED"
)
CHECKED = runpy.run_path(str(ROOT / "compiling" / "compile.py"))["CHECKED"]


def installed(*names: str) -> set[Path]:
    """What lies in this environment of these packages, and of all that they require."""
    found, seen, asked = set[Path](), set[str](), list(names)
    while asked:
        match = re.match(r"[\w.-]+", asked.pop())
        assert match is not None
        name = re.sub(r"[-_.]+", "-", match[0]).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # for another system or Python
        asked += [it for it in package.requires or () if "extra ==" not in it]
        tops = {it.parts[0] for it in package.files or ()}
        found |= {Path(str(package.locate_file(it))) for it in tops - {"..", "__pycache__"}}
    return found


@pytest.mark.slow
def test_the_compilers_checker_is_content_with_what_the_wheels_builder_installs(
    tmp_path: Path,
) -> None:
    """The builder has an environment of its own, with these packages and no others."""
    ours = [it for it in requires("roost") or () if "extra ==" not in it]
    venv.create(tmp_path / "environment", symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "environment" / "lib" / version / "site-packages"
    for path in installed(*NEEDED, *ours):
        if path.exists():
            (site / path.name).symlink_to(path)
    assert (site / "msgspec").exists()
    assert not (site / "numpy").exists(), "it is an extra"
    program = str(tmp_path / "environment" / "bin" / "python")
    where = ["--python-executable", program, "--cache-dir", str(tmp_path / "cache")]
    paths = [str(Path("src", *it.split(".")).with_suffix(".py")) for it in MODULES]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *where, *CHECKED, *paths],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
