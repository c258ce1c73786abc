"""Make a Debian package: Roost and all that it needs in /opt/roost, a unit, and a configuration.

What is packed is what the tests ran with: of each distribution that `requirements-deploy.lock`
names, the files that are installed beside us, in that very version; and Roost from a wheel.
Nothing is fetched.  The environment in the package uses the system's Python, and is for that one
version of it.

    python -m deploy.debian.build --wheel dist/roost-0.2.0-py3-none-any.whl --into dist

The times of all files are SOURCE_DATE_EPOCH, where that is set: two builds are equal then.
"""

import argparse
import email.utils
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

from deploy.pins import ROOT, NotHere, installed, licence_of, pinned, plain

HERE = Path(__file__).parent
SYSTEMD = ROOT / "deploy" / "systemd"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
NEXT_VERSION = f"{sys.version_info.major}.{sys.version_info.minor + 1}"
HOME = Path("opt/roost")
SITE = HOME / "lib" / f"python{VERSION}" / "site-packages"
SCRIPTS = ("postinst", "prerm", "postrm")


class CannotBuild(Exception):
    """The package cannot be made; the text says what to do."""


def copy_distribution(held: Distribution, site: Path) -> None:
    """Copy what is installed of one: no programs, and nothing that Python compiled."""
    for file in held.files or ():
        source = Path(str(file.locate()))
        is_outside = ".." in file.parts
        if is_outside or "__pycache__" in file.parts or not source.is_file():
            continue
        target = site / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file of the package, whatever its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def make_environment(tree: Path, wheel: Path, python: Path, held: list[Distribution]) -> None:
    """/opt/roost: an environment of the system's Python, with all of it in it."""
    site = tree / SITE
    site.mkdir(parents=True)
    for it in held:
        copy_distribution(it, site)
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    home = tree / HOME
    write(home / "bin" / "roost", (HERE / "roost").read_text(), 0o755)
    (home / "bin" / "python").symlink_to(python)
    write(
        home / "pyvenv.cfg",
        f"home = {python.parent}\ninclude-system-site-packages = false\nversion = {VERSION}\n",
    )
    command = tree / "usr/bin/roost"
    command.parent.mkdir(parents=True)
    command.symlink_to("../../opt/roost/bin/roost")


def make_system_files(tree: Path) -> None:
    """The unit, its user and directories, and the configuration."""
    for name, place in (
        ("roost.service", "lib/systemd/system/roost.service"),
        ("sysusers.conf", "usr/lib/sysusers.d/roost.conf"),
        ("tmpfiles.conf", "usr/lib/tmpfiles.d/roost.conf"),
    ):
        write(tree / place, (SYSTEMD / name).read_text())
    write(tree / "etc/roost/roost.yaml", (ROOT / "deploy" / "roost.yaml").read_text())


def make_documents(tree: Path, version: str, held: list[Distribution], now_s: int) -> None:
    """Who may copy what, and what has changed."""
    folder = tree / "usr/share/doc/roost"
    lines = [
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
        "Upstream-Name: roost",
        "Comment: what is below site-packages has its licence in its .dist-info folder.",
        "",
        "Files: *",
        "Copyright: the authors of Roost",
        "License: Apache-2.0",
        " On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.",
    ]
    for it in held:
        said = licence_of(it)
        licence = said.text if said else "as its .dist-info folder says"
        tops = sorted({file.parts[0] for file in it.files or () if ".." not in file.parts})
        places = "\n ".join(f"{SITE}/{top}*" for top in tops if top != "__pycache__")
        name = plain(it.name)
        lines += ["", f"Files: {places}", f"Copyright: the authors of {name}"]
        lines += [f"License: {licence}", f" {name} {it.version}, as it is published."]
    write(folder / "copyright", "\n".join(lines) + "\n")
    entry = (
        f"roost ({version}) unstable; urgency=medium\n\n"
        "  * What has changed stands in changelog.gz."
        f"\n\n -- {maintainer()}  {email.utils.formatdate(now_s)}\n"
    )
    for name, text in (
        ("changelog.gz", (ROOT / "CHANGELOG.md").read_text()),
        ("changelog.Debian.gz", entry),
    ):
        (folder / name).write_bytes(gzip.compress(text.encode(), mtime=now_s))


def maintainer() -> str:
    """Whoever builds, by Debian's own variables."""
    name = os.environ.get("DEBFULLNAME", "the builder of this package")
    return f"{name} <{os.environ.get('DEBEMAIL', 'root@localhost')}>"


def control(version: str, architecture: str, size_kib: int) -> str:
    """What dpkg knows of the package."""
    return (
        f"Package: roost\nVersion: {version}\nArchitecture: {architecture}\n"
        f"Maintainer: {maintainer()}\nInstalled-Size: {size_kib}\n"
        f"Depends: python3 (>= {VERSION}), python3 (<< {NEXT_VERSION}), python{VERSION}, libc6,"
        " libgcc-s1, libstdc++6, systemd\n"
        "Section: database\nPriority: optional\n"
        "Description: replicated storage: an etcd-compatible member, and its commands\n"
        " Raft beneath the journal of a transactional, ordered tree store, with etcd's services,\n"
        " time series and counters on top of it. The member is started after\n"
        " /etc/roost/roost.yaml says who it is: systemctl enable --now roost.\n"
    )


def files_of(tree: Path) -> list[Path]:
    """Every plain file below a folder, in order."""
    return sorted(it for it in tree.rglob("*") if it.is_file() and not it.is_symlink())


def md5_of(path: Path) -> str:
    """As dpkg wants it, to find files that have changed since."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def make_control(tree: Path, version: str, architecture: str) -> None:
    """DEBIAN/: the description, sums, scripts, and which files are the operator's."""
    files = files_of(tree)
    size_kib = sum(it.stat().st_size for it in files) // 1024
    sums = "".join(f"{md5_of(it)}  {it.relative_to(tree)}\n" for it in files)
    folder = tree / "DEBIAN"
    write(folder / "control", control(version, architecture, size_kib))
    write(folder / "md5sums", sums)
    write(folder / "conffiles", "/etc/roost/roost.yaml\n")
    for name in SCRIPTS:
        write(folder / name, (HERE / name).read_text(), 0o755)


def make_even(tree: Path, now_s: int) -> None:
    """The same modes and times for all files, whoever builds and whenever."""
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            is_run = path.is_dir() or os.access(path, os.X_OK)
            path.chmod(0o755 if is_run else 0o644)
        os.utime(path, (now_s, now_s), follow_symlinks=False)


def check_python(python: Path) -> None:
    """Refuse a Python that what is packed was not made for.

    Raises:
        CannotBuild: it is not there, or of another version.

    """
    ask = "import sys; print(*sys.version_info[:2], sep='.')"
    try:
        said = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotBuild(f"{python} cannot be run: --python names another") from error
    if said.stdout.strip() != VERSION:
        text = (
            f"{python} is Python {said.stdout.strip()}, and what is installed here is for {VERSION}"
        )
        raise CannotBuild(f"{text}: make .venv with it, `make clean deb PYTHON={python}`")


def build(wheel: Path, into: Path, python: Path, compression: str) -> Path:
    """Make the package; return where it is.

    Raises:
        CannotBuild: something is missing; the text says what to do.
        NotHere: what is pinned is not installed, or in another version.

    """
    if shutil.which("dpkg-deb") is None:
        raise CannotBuild("dpkg-deb is not here: install the package dpkg")
    check_python(python)
    found = re.match(r"roost-([0-9][0-9A-Za-z.]*)-", wheel.name)
    if found is None:
        raise CannotBuild(f"{wheel} is no wheel of Roost's: `make wheel`")
    version, now_s = found[1], int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    asked = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    )
    architecture = asked.stdout.strip()
    held = list(installed(pinned()))
    package = into / f"roost_{version}_{architecture}.deb"
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "roost"
        make_environment(tree, wheel, python, held)
        make_system_files(tree)
        make_documents(tree, version, held, now_s)
        make_control(tree, version, architecture)
        make_even(tree, now_s)
        # It takes minutes, and who ends it shall not find half of a package.
        made = Path(folder) / package.name
        command: list[str | Path] = [
            "dpkg-deb",
            "--root-owner-group",
            f"-Z{compression}",
            "--build",
            tree,
            made,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        shutil.move(made, package)
    return package


def main() -> None:
    """Say where the package is, or why there is none."""
    said = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    said.add_argument("--wheel", type=Path, required=True, help="Roost's")
    said.add_argument("--into", type=Path, default=Path("dist"), help="the folder for the package")
    said.add_argument("--python", type=Path, default=Path("/usr/bin/python3"), help="the system's")
    said.add_argument("--compression", default="xz", help="gzip, xz, zstd or none")
    given = said.parse_args()
    try:
        print(build(given.wheel, given.into, given.python, given.compression))
    except CannotBuild as error:
        sys.exit(f"deb: {error}")
    except NotHere as error:
        sys.exit(f"deb: {error}: run `make deb`, which installs what the lock files say")


if __name__ == "__main__":
    main()
