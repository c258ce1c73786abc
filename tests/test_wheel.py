"""A wheel has the compiled modules, and is all that an environment of its own needs of Roost.

`make test-compiled` builds one, from these sources, and runs this; elsewhere there is none.
"""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from roost.compiled import MODULES, extensions_of

ROOT = Path(__file__).parent.parent
IS_BUILT = os.environ.get("ROOST_TREE") == "compiled"
pytestmark = pytest.mark.skipif(not IS_BUILT, reason="no wheel is built here: `make test-compiled`")

# A program that has a member in it.
PROGRAM = """
import roost, sys
with roost.open(sys.argv[1]) as db:
    db.tree("people", key=str, value=int)["ada"] = 1815
    print(dict(db.tree("people", key=str, value=int).items()))
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    (found,) = (ROOT / "build" / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh one with the wheel in it; what Roost needs is where it is here."""
    path = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", str(path))
    program = str(path / "bin" / "python")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "--python", program, *install, str(wheel))
    site = run(program, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
    # A path in such a file is looked into, but files like it that lie there are not read: Roost's
    # sources, which are installed here that way, are not seen.
    Path(site, "what-it-needs.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return path


def run(*command: str) -> str:
    """What a program says, which may have nothing of this one's environment but the path."""
    path = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_for_this_python_and_says_for_which_machines(wheel: Path) -> None:
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert re.fullmatch(rf"roost-[0-9.]+-{version}-{version}-\w*linux\S+\.whl", wheel.name)


def test_it_has_each_compiled_module_beside_its_source(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for module in MODULES:
        path = module.replace(".", "/")
        assert {f"{path}.py", f"{path}{suffix}"} <= set(names)
    assert sum(it.endswith(".so") for it in names) == len(MODULES) + 1, "and the code of them all"


def test_installed_it_says_that_it_is_compiled(environment: Path) -> None:
    said = run(str(environment / "bin" / "roost"), "--version")
    assert re.fullmatch(rf"roost \d+\.\d+\.\d+ \({len(MODULES)} modules compiled\)\n", said)


def test_installed_it_serves_a_program_out_of_that_environment(
    environment: Path, tmp_path: Path
) -> None:
    program = str(environment / "bin" / "python")
    assert run(program, "-c", PROGRAM, str(tmp_path / "data")) == "{'ada': 1815}\n"
    where = run(program, "-c", "import roost.raft.core; print(roost.raft.core.__file__)").strip()
    assert Path(where).is_relative_to(environment)
    assert where.endswith(".so")


def test_what_was_built_for_it_has_not_come_to_the_sources() -> None:
    """Else everything that has to run pure would run compiled from then on."""
    assert [it for it in MODULES if extensions_of(it, ROOT / "src")] == []
    assert not list((ROOT / "src").glob("*.so"))
