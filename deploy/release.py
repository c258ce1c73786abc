"""`make release-check`: what must hold before a release is tagged; exit code 1 when it does not.

Nothing is changed but `dist/`, where the bill of materials is written.  What no program can judge
is listed in the end: `docs/how-to/release.md` has the whole way.
"""

import hashlib
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from deploy.grafana import panels
from deploy.pins import ROOT

MANUAL = (
    "`make test` on this commit, on a machine that does nothing else",
    "two compiled wheels, which are equal (docs/how-to/release.md)",
    "`make fresh`: the README's two commands on a bare Debian",
    "`make speed`, and a look at what has changed in docs/speed.md",
    "upgrade notes in CHANGELOG.md: which versions may run side by side",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at; `wrong` is empty when it holds."""

    name: str
    found: str
    wrong: str = ""


def run(*command: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A program in the repository, and what it says."""
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )


def release() -> str:
    """The version that pyproject.toml names."""
    held = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return str(held["project"]["version"])


def tree() -> Iterator[Row]:
    """Whether what is here is what would be tagged."""
    dirty = run("git", "status", "--porcelain").stdout.splitlines()
    wrong = f"{len(dirty)} files are changed or not committed: {dirty[0][3:]}" if dirty else ""
    commit = run("git", "rev-parse", "--short", "HEAD").stdout.strip()
    yield Row("tree", f"at {commit}", wrong)
    tags = run("git", "tag", "--list", f"v{release()}").stdout.split()
    yield Row("tag", f"v{release()}", f"v{release()} is there already" if tags else "")


def changes(root: Path = ROOT) -> Iterator[Row]:
    """Whether the changelog tells of this version, and has gathered what was told."""
    text = (root / "CHANGELOG.md").read_text()
    held = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    found = re.search(r"^## (\S+) \((.+)\)$", text, re.MULTILINE)
    if found is None:
        yield Row("changelog", "", "it has no section `## VERSION (DATE)`")
        return
    wrong = ""
    if found[1] != held:
        wrong = f"its newest section is {found[1]}, pyproject.toml says {held}"
    elif not re.fullmatch(r"\d{4}-\d{2}-\d{2}", found[2]):
        wrong = f"{found[1]} has no date, but {found[2]!r}"
    yield Row("changelog", f"{found[1]} ({found[2]})", wrong)
    left = sorted(it.name for it in (root / "changes").glob("*.md"))
    text = (
        f"{len(left)} fragments are not gathered into CHANGELOG.md, the first is {left[0]}"
        if left
        else ""
    )
    yield Row("fragments", "none is left" if not left else "", text)


def versions(root: Path = ROOT, here: str = "") -> Iterator[Row]:
    """Whether everything that says a version says this one; `here` is what is installed."""
    held = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    said = {
        "clients/js/package.json": json.loads((root / "clients/js/package.json").read_text())[
            "version"
        ],
        "what is installed here": here or version("roost"),
    }
    other = [f"{name} says {it}" for name, it in said.items() if it != held]
    wrong = f"pyproject.toml says {held}, {' and '.join(other)}" if other else ""
    yield Row("version", held, wrong)


def documents() -> Iterator[Row]:
    """Whether pages and files that are made of the program are those of this one."""
    generator = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    old = [name for name, page in generator["PAGES"].items()
           if (generator["REFERENCE"] / name).read_text() != page()]  # fmt: skip
    if (ROOT / "deploy" / "roost.yaml").read_text() != generator["sample_config"]():
        old.append("roost.yaml")
    if panels.PATH.read_text() != panels.text():
        old.append("roost.json")
    wrong = f"`make docs` was not run: {', '.join(old)}" if old else ""
    yield Row("documents", f"{len(generator['PAGES']) + 2} are made of the program", wrong)


def built(into: Path, epoch: str) -> dict[str, str]:
    """Digests of a wheel and an sdist that are built of the sources, by their names."""
    done = run(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", into, SOURCE_DATE_EPOCH=epoch
    )
    if done.returncode:
        return {}
    return {it.name: hashlib.sha256(it.read_bytes()).hexdigest() for it in into.iterdir()}


def packages() -> Iterator[Row]:
    """Whether two builds are equal, and have in them what they should."""
    epoch = run("git", "log", "-1", "--format=%ct").stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        first, second = (built(Path(folder, it), epoch) for it in ("first", "second"))
        if len(first) != 2:
            yield Row(
                "packages", "", "they cannot be built: `make .venv/.installed-wheel`, and try again"
            )
            return
        differ = [name for name in first if first[name] != second.get(name)]
        wrong = f"two builds differ: {', '.join(differ)}" if differ else ""
        yield Row("packages", ", ".join(sorted(first)), wrong)
        [wheel] = Path(folder, "first").glob("*.whl")
        names = zipfile.ZipFile(wheel).namelist()
    lacking = [it for it in ("roost/py.typed", "roost/cli/main.py") if it not in names]
    strange = [it for it in names if not it.startswith(("roost/", f"roost-{release()}.dist-info/"))]
    lacking += [] if any(it.endswith("LICENSE") for it in names) else ["LICENSE"]
    wrong = f"it lacks {', '.join(lacking)}" if lacking else ""
    yield Row("wheel", f"{len(names)} files", wrong or (f"it has {strange[0]}" if strange else ""))


def materials() -> Iterator[Row]:
    """The bill of materials, written."""
    path = ROOT / "dist" / f"roost-{release()}.cdx.json"
    done = run(sys.executable, "-m", "deploy.sbom", "--into", path)
    yield Row("materials", f"dist/{path.name}", done.stderr.strip())


CHECKS: tuple[Callable[[], Iterator[Row]], ...] = (
    *(tree, versions, changes, documents),
    *(packages, materials),
)


def main() -> None:
    """Look at all, say each, and end with 1 when one does not hold."""
    is_good = True
    for check in CHECKS:
        for row in check():
            is_good &= not row.wrong
            print(
                f"{'failed' if row.wrong else 'ok':<8}{row.name:<11}{row.wrong or row.found}",
                flush=True,
            )
    for text in MANUAL:
        print(f"{'yours':<8}{text}")
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
