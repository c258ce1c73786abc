"""The container file is held to what Roost takes, keeps and answers.

No container is built here: that takes a daemon, and a network.
"""

import fnmatch
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from roost.cli.main import main
from roost.cli.settings import FLAGS
from tests.deploy.configured import DEPLOY, ROOT, configured, port_of
from tests.deploy.containerfile import stages, texts, variables, words

PATH = DEPLOY / "Containerfile"
BUILD, FINAL = stages(PATH)


def test_it_runs_as_nobody_that_is_known_and_owns_its_folder() -> None:
    [user] = texts(FINAL, "USER")
    number, group = map(int, user.split(":"))
    assert number >= 1000 and group >= 1000
    [volume] = texts(FINAL, "VOLUME")
    [made] = [it for it in texts(FINAL, "RUN") if "install -d" in it]
    assert re.search(rf"-o {number} -g {group} -m 0750 {volume}$", made)
    assert texts(FINAL, "WORKDIR") == [volume]
    names = [it.name for it in FINAL]
    assert names.index("RUN") < names.index("USER") < names.index("ENTRYPOINT")
    assert Path(variables(FINAL)["ROOST_DATA_DIR"]).parent == Path(volume)


def test_nothing_that_builds_is_in_the_image_that_runs() -> None:
    [copied] = texts(FINAL, "COPY")
    assert copied == "--from=build /opt/roost /opt/roost"
    assert not any("pip" in it or "apt" in it for it in texts(FINAL, "RUN"))


def test_what_is_copied_into_the_build_is_there_and_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    let_in = [it[1:] for it in lines if it.startswith("!")]
    for text in texts(BUILD, "COPY"):
        *sources, _target = text.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(source, it) for it in let_in), source
    assert [it for it in let_in if not (ROOT / it).exists()] == []


def test_the_base_of_both_stages_is_the_python_that_the_packages_are_pinned_for() -> None:
    text = PATH.read_text()
    assert "ARG PYTHON=3.11-" in text
    assert "pip-compile with Python 3.11" in (ROOT / "requirements-deploy.lock").read_text()
    [build], [final] = texts(BUILD, "FROM"), texts(FINAL, "FROM")
    assert build == f"{final} AS build"


def test_its_variables_are_settings_and_its_ports_those_that_are_listened_on(
    tmp_path: Path,
) -> None:
    given = {name: it for name, it in variables(FINAL).items() if name.startswith("ROOST_")}
    settings = configured(given, tmp_path / "none", is_alone=True)
    urls = [*settings.listen_client_urls, *settings.listen_peer_urls]
    assert all("//0.0.0.0:" in it for it in urls), "loopback is the container's own"
    [exposed] = texts(FINAL, "EXPOSE")
    assert sorted(map(int, exposed.split())) == sorted(map(port_of, urls))


def test_its_command_and_its_health_check_are_commands_of_roosts() -> None:
    [entry], [command] = texts(FINAL, "ENTRYPOINT"), texts(FINAL, "CMD")
    assert words(entry) + words(command) == ["roost", "serve"]
    [check] = texts(FINAL, "HEALTHCHECK")
    program, name, *options = words(check.partition("CMD ")[2])
    assert program == "roost"
    found = main.get_command(main.make_context("roost", ["--help"], resilient_parsing=True), name)
    assert found is not None
    context = found.make_context(name, options)
    # Its default endpoint is where the container listens.
    port = port_of(variables(FINAL)["ROOST_LISTEN_CLIENT_URLS"])
    assert context.params["endpoints"] == f"127.0.0.1:{port}"
    assert {"ROOST_ENDPOINTS", "ROOST_CACERT"} <= set(re.findall(r"ROOST_\w+", PATH.read_text()))


def test_every_variable_that_it_names_is_one() -> None:
    known = {it for flag in FLAGS.values() for it in flag.environment}
    others = {"ROOST_ENDPOINTS", "ROOST_CACERT", "ROOST_CERT", "ROOST_KEY", "ROOST_COMPILE"}
    assert set(re.findall(r"ROOST_[A-Z_]+", PATH.read_text())) - known - others == set()


def pins(name: str) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
    return {_plain(package): version for package, version in found}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_is_installed_is_all_that_is_needed_and_what_the_tests_run_with() -> None:
    """Whoever adds a dependency pins it here, too: `make lock`."""
    held = pins("requirements-deploy.lock")
    assert held.items() <= pins("requirements-test.lock").items()
    needed: set[str] = set()
    extras: tuple[str, ...] = ("", "dns", "plot", "prometheus", "s3", "series", "terminal")
    to_see = [("roost", extras)]
    while to_see:
        name, extras = to_see.pop()
        for text in requires(name) or ():
            it = Requirement(text)
            wanted = it.marker is None or any(
                it.marker.evaluate({"extra": extra}) for extra in extras
            )
            if wanted and _plain(it.name) not in needed:
                needed.add(_plain(it.name))
                to_see.append((it.name, ("", *it.extras)))
    assert needed <= held.keys()
    if sys.version_info[:2] == (3, 11):  # which it is pinned for
        assert needed == held.keys()


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_the_linter_of_container_files_has_nothing_to_say() -> None:
    done = subprocess.run(["hadolint", PATH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_commands_of_the_build_are_ones_that_a_shell_can_read() -> None:
    for text in [*texts(BUILD, "RUN"), *texts(FINAL, "RUN")]:
        subprocess.run(["sh", "-n", "-c", text], check=True)
