"""`make deb`: a package that dpkg takes, with an environment that runs wherever it is unpacked.

It is built of what is installed here, and of a wheel that is made of the sources by hand.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from deploy.debian import build as builder

from deploy import pins
from roost.testing.patience import PATIENCE_S, wait_until
from tests.deploy.configured import DEPLOY, ROOT
from tests.deploy.test_sample import placed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed"),
]
# Of which the environment that is tested was made.
PYTHON = Path(getattr(sys, "_base_executable", sys.executable))
FOLDER = DEPLOY / "debian"


def make_wheel(folder: Path) -> Path:
    """Roost as a wheel without compiled modules."""
    release = version("roost")
    path = folder / f"roost-{release}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        for source in sorted((ROOT / "src" / "roost").rglob("*")):
            if source.is_file() and source.suffix not in (".pyc", ".so", ".digest"):
                packed.write(source, source.relative_to(ROOT / "src"))
        about = f"roost-{release}.dist-info"
        packed.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: roost\nVersion: {release}\n"
        )
        packed.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
    return path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("deb")
    made: Path = builder.build(make_wheel(folder), folder / "dist", PYTHON, "none")
    yield made
    shutil.rmtree(folder)  # it is large


@pytest.fixture(scope="module")
def unpacked(package: Path) -> Path:
    root = package.parent.parent / "root"
    subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    return root


def field(package: Path, name: str) -> str:
    done = subprocess.run(
        ["dpkg-deb", "--field", package, name], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_dpkg_reads_what_it_is_and_what_it_needs(package: Path) -> None:
    subprocess.run(["dpkg-deb", "--info", package], check=True, stdout=subprocess.DEVNULL)
    assert field(package, "Package") == "roost"
    assert field(package, "Version") == version("roost")
    asked = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    )
    assert package.name == f"roost_{version('roost')}_{asked.stdout.strip()}.deb"
    major, minor = sys.version_info[:2]
    needs = field(package, "Depends")
    assert f"python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1})" in needs


def test_all_in_it_is_roots_and_nobody_may_change_it(package: Path) -> None:
    done = subprocess.run(
        ["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=5) for line in done.stdout.splitlines()]
    assert {row[1] for row in rows} == {"root/root"}
    assert {row[0] for row in rows} <= {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x", "lrwxrwxrwx"}
    names = {row[5].split(" -> ")[0].rstrip("/") for row in rows}
    assert {
        "./etc/roost/roost.yaml", "./lib/systemd/system/roost.service", "./opt/roost/pyvenv.cfg",
        "./usr/bin/roost", "./usr/lib/sysusers.d/roost.conf", "./usr/lib/tmpfiles.d/roost.conf",
        "./usr/share/doc/roost/changelog.gz", "./usr/share/doc/roost/changelog.Debian.gz",
        "./usr/share/doc/roost/copyright",
    } <= names  # fmt: skip
    assert {it.split("/")[1] for it in names if "/" in it} == {"etc", "lib", "opt", "usr"}
    assert [it for it in names if "__pycache__" in it] == []


def test_files_are_those_of_the_repository(unpacked: Path) -> None:
    for inside, ours in (
        ("lib/systemd/system/roost.service", "systemd/roost.service"),
        ("usr/lib/sysusers.d/roost.conf", "systemd/sysusers.conf"),
        ("usr/lib/tmpfiles.d/roost.conf", "systemd/tmpfiles.conf"),
        ("etc/roost/roost.yaml", "roost.yaml"),
    ):
        assert (unpacked / inside).read_bytes() == (DEPLOY / ours).read_bytes()
    said = (unpacked / "usr/share/doc/roost/copyright").read_text()
    for name in pins.pinned():
        assert re.search(rf"^ {name} ", said, re.MULTILINE), name


def bare(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """A command as on a machine that has nothing of ours in its environment."""
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": os.defpath},
        timeout=PATIENCE_S,
    )  # fmt: skip


def test_the_command_runs_where_it_is_unpacked_and_knows_nothing_of_this_environment(
    unpacked: Path,
) -> None:
    done = bare(unpacked / "usr/bin/roost", "--version")
    assert done.stdout.startswith(f"roost {version('roost')} ("), done.stderr
    ask = "import roost, numpy, re2, rich, sys; print(roost.__file__, numpy.__file__, *sys.path)"
    done = bare(unpacked / "opt/roost/bin/python", "-I", "-c", ask)
    roost_path, numpy_path, *paths = done.stdout.split()
    site = str(unpacked / builder.SITE)
    assert roost_path.startswith(site) and numpy_path.startswith(site), done.stderr
    assert not any(".venv" in it for it in paths)


@pytest.mark.cluster
def test_a_member_of_the_package_serves(unpacked: Path, tmp_path: Path) -> None:
    """With its keeper, which is a process of its own."""
    path, log = tmp_path / "roost.yaml", tmp_path / "log"
    path.write_text(placed((unpacked / "etc/roost/roost.yaml").read_text(), tmp_path / "data"))
    with log.open("wb") as said:
        process = subprocess.Popen(
            [unpacked / "usr/bin/roost", "serve", "--config-file", path],
            stdout=said, stderr=said, env={"PATH": os.defpath}, cwd=tmp_path,
        )  # fmt: skip
    try:
        wait_until(lambda: "Try: " in log.read_text() or process.poll() is not None, 60)
        found = re.search(r"serves (http\S+),", log.read_text())
        assert found is not None, log.read_text()
        done = bare(unpacked / "usr/bin/roost", "put", "a", "b", "--endpoints", found[1])
        assert done.stdout == "OK, revision 2\n", done.stderr
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0, log.read_text()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A system as a package leaves it before its script runs; Python notes how it is called."""
    for name, place in (("sysusers.conf", "sysusers.d"), ("tmpfiles.conf", "tmpfiles.d")):
        folder = tmp_path / "usr/lib" / place
        folder.mkdir(parents=True)
        shutil.copy(DEPLOY / "systemd" / name, folder / "roost.conf")
    (tmp_path / "etc").mkdir()
    python = tmp_path / "opt/roost/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\n')
    python.chmod(0o755)
    (tmp_path / "opt/roost/lib/a/__pycache__").mkdir(parents=True)
    return tmp_path


def script(name: str, root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", FOLDER / name, *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "DPKG_ROOT": str(root)},
    )  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="users and owners are made by root")
@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is not installed")
def test_the_user_and_its_directory_are_made_and_stay_when_the_package_goes(
    installed: Path,
) -> None:
    for _ in range(2):  # as when a new version comes
        done = script("postinst", installed, "configure")
        assert done.returncode == 0, done.stderr
    users = (installed / "etc/passwd").read_text().splitlines()
    [user] = [it.split(":") for it in users if it.startswith("roost:")]
    assert user[5:] == ["/var/lib/roost", "/usr/sbin/nologin"]
    data = (installed / "var/lib/roost").stat()
    assert (stat.S_IMODE(data.st_mode), data.st_uid) == (0o700, int(user[2]))
    assert stat.S_IMODE((installed / "etc/roost").stat().st_mode) == 0o750
    assert f"-m compileall -q {installed}/opt/roost/lib" in (installed / "called").read_text()
    assert script("prerm", installed, "remove").returncode == 0
    assert not list((installed / "opt").rglob("__pycache__"))
    done = script("postrm", installed, "purge")
    assert done.returncode == 0 and "the data stay in /var/lib/roost" in done.stdout
    assert (installed / "var/lib/roost").is_dir()


@pytest.mark.parametrize("name", ["roost", *builder.SCRIPTS])
def test_scripts_are_ones_that_a_plain_shell_reads(name: str) -> None:
    subprocess.run(["sh", "-n", FOLDER / name], check=True)


def test_two_builds_at_different_times_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of few distributions: the same code, and quick."""
    few = {name: it for name, it in pins.pinned().items() if name in ("click", "idna")}
    assert len(few) == 2
    monkeypatch.setattr(builder, "pinned", lambda: few)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    wheel = make_wheel(tmp_path)
    made = [builder.build(wheel, tmp_path / it, PYTHON, "gzip").read_bytes() for it in "ab"]
    assert made[0] == made[1]


def test_a_build_that_is_ended_leaves_no_half_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a program that writes something and fails, as one does that is killed."""
    programs, into = tmp_path / "bin", tmp_path / "dist"
    programs.mkdir()
    program = programs / "dpkg-deb"
    program.write_text('#!/bin/sh\nfor target; do :; done\necho half >"$target"\nexit 9\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(builder, "pinned", dict)
    with pytest.raises(subprocess.CalledProcessError):
        builder.build(make_wheel(tmp_path), into, PYTHON, "none")
    assert list(into.iterdir()) == []


def test_what_cannot_be_packed_is_said_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements-deploy.lock"
    monkeypatch.setattr(pins, "LOCK", lock)
    asked = ["build", "--wheel", str(make_wheel(tmp_path)), "--python", str(PYTHON)]
    monkeypatch.setattr(sys, "argv", [*asked, "--into", str(tmp_path / "dist")])
    for text, words in (
        ("click==0.0.1 \\\n", "click is .* here, and 0.0.1"),
        ("nobody==1 \\\n", "nobody is not installed"),
    ):
        lock.write_text(text)
        with pytest.raises(SystemExit, match=f"deb: {words}.*make deb"):
            builder.main()
    with pytest.raises(builder.CannotBuild, match="cannot be run: --python names another"):
        builder.check_python(tmp_path / "python")
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 2.7\n")
    other.chmod(0o755)
    with pytest.raises(builder.CannotBuild, match=r"is Python 2\.7, and .*make clean deb PYTHON="):
        builder.check_python(other)
    with pytest.raises(builder.CannotBuild, match="no wheel of Roost's"):
        builder.build(tmp_path / "other-1.whl", tmp_path, PYTHON, "none")


@pytest.fixture(scope="module")
def without_extras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of what every member needs: dpkg's scripts compile what is in it."""
    folder = tmp_path_factory.mktemp("small")
    core = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    few = {name: it for name, it in pins.pinned().items() if name in core}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "pinned", lambda: few)
        made: Path = builder.build(make_wheel(folder), folder / "dist", PYTHON, "none")
    return made


def dpkg(root: Path, *arguments: str | Path) -> str:
    """Have dpkg work on a tree; scripts of packages are told of it, and not run in it."""
    forced = "--force-depends,script-chrootless"  # what it needs is this machine's
    done = subprocess.run(
        ["dpkg", f"--root={root}", forced, *arguments],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="packages are installed by root")
@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is not installed")
def test_dpkg_installs_it_into_a_bare_tree_and_takes_all_but_the_data_away(
    without_extras: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    for it in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc", "tmp"):
        (root / it).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    dpkg(root, "--install", without_extras)
    assert "Status: install ok installed" in dpkg(root, "--status", "roost")
    assert dpkg(root, "--verify", "roost") == ""
    assert list((root / "opt/roost").rglob("__pycache__")), "it is compiled"
    done = bare(root / "usr/bin/roost", "--version")
    assert done.stdout.startswith(f"roost {version('roost')} ("), done.stderr
    (root / "var/lib/roost/data").mkdir()
    dpkg(root, "--remove", "roost")
    assert not (root / "opt/roost").exists()
    assert not (root / "usr/bin/roost").is_symlink()
    assert (root / "etc/roost/roost.yaml").is_file(), "it is the operator's"
    assert "the data stay in /var/lib/roost" in dpkg(root, "--purge", "roost")
    assert not (root / "etc/roost").exists()
    assert (root / "var/lib/roost/data").is_dir()
