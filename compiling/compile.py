"""Compiles the hot modules by mypyc, in place or into another folder, and removes what it made.

    python compiling/compile.py            # beside the sources: `make fast`
    python compiling/compile.py --into X   # X/roost/...so: the hook of the wheel
    python compiling/compile.py --remove   # `make slow`

Needs mypy, setuptools, a C compiler and Python's headers.  Which modules: `roost/compiled.py`.
"""

import argparse
import os
import runpy
import shutil
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src"
PACKAGE = SOURCES / "roost"
OBJECTS = ROOT / "build" / "mypyc"
# What is compiled is judged, and not what it imports besides: that needs the packages of all extras
# to be judged, which is `make types`, and not each machine's where a wheel is made.
CHECKED = ("--config-file", "pyproject.toml", "--follow-imports", "silent")


def missing() -> str | None:
    """What is not on this machine and has to be, or None."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"a C compiler ({compiler}; Debian: the package gcc)"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "Python's headers (the package python3-dev)"
    return None


def remove() -> int:
    """Remove what was made in place, for any Python; returns how many files that were."""
    held = runpy.run_path(str(PACKAGE / "compiled.py"))
    made = [*SOURCES.glob(f"{held['GROUP']}__mypyc.*"), PACKAGE / held["DIGEST_FILE"]]
    made += [it for suffix in (".so", ".pyd") for it in PACKAGE.rglob(f"*{suffix}")]
    made = [it for it in made if it.exists()]
    for path in made:
        path.unlink()
    return len(made)


def compile_into(target: Path) -> int:
    """Compile, and put what comes of it into `target`/roost; returns how many modules."""
    import setuptools  # before mypyc, which asks whether it is there
    from mypyc.build import mypycify

    held = runpy.run_path(str(PACKAGE / "compiled.py"))
    modules: tuple[str, ...] = held["MODULES"]
    digest = held["source_digest"](PACKAGE)  # now: somebody may change a source meanwhile
    OBJECTS.mkdir(parents=True, exist_ok=True)
    paths = [str(Path("src", *it.split(".")).with_suffix(".py")) for it in modules]
    extensions = mypycify(
        [*CHECKED, *paths],
        opt_level="3",
        debug_level="0",
        multi_file=True,
        group_name=held["GROUP"],
        target_dir=str(OBJECTS),
    )
    distribution = setuptools.Distribution({"name": "roost", "ext_modules": extensions})
    command = distribution.get_command_obj("build_ext")
    made = OBJECTS / "made"
    shutil.rmtree(made, ignore_errors=True)
    command.build_lib = str(made)
    command.build_temp = str(OBJECTS / "objects")
    command.parallel = len(os.sched_getaffinity(0))
    command.ensure_finalized()
    command.run()
    (made / "roost" / held["DIGEST_FILE"]).write_text(digest + "\n")
    # Only now: what failed half-way has changed nothing.  Each file takes the place of another, and
    # does not write into it: a process may have it in its memory.
    for path in sorted(it for it in made.rglob("*") if it.is_file()):
        place = target / path.relative_to(made)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, f"{place}.new")
        Path(f"{place}.new").replace(place)
    return len(modules)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=SOURCES)
    parser.add_argument("--remove", action="store_true")
    parser.add_argument("--can", action="store_true", help="only say whether it can be done here")
    given = parser.parse_args()
    os.chdir(ROOT)
    if given.remove:
        if count := remove():
            print(f"removed {count} files of compiled modules: the package is pure Python again")
        return
    if (lacks := missing()) is not None:
        sys.exit(f"cannot compile: this machine lacks {lacks}")
    if given.can:
        return
    count = compile_into(given.into)
    print(f"compiled {count} modules into {given.into}")


if __name__ == "__main__":
    main()
