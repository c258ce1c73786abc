"""The unit is one that systemd takes, closed as far as can be, and true to `roost serve`."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from roost.cli.exits import EXIT_LOCKED, EXIT_USAGE
from roost.cli.main import main
from roost.cli.process import STOP_S
from roost.cli.settings import load_settings
from roost.settings import DEFAULTS, Settings
from tests.deploy.configured import DEPLOY

FOLDER = DEPLOY / "systemd"
UNIT = (FOLDER / "roost.service").read_text()
# Of ten; systemd calls up to 2 "OK".  What is left are sockets, which a member is there for: 1.5
# by systemd 252, and others weigh a little differently.
EXPOSURE_MAX = 2.0


def said(name: str) -> list[str]:
    """The values of a setting of the unit."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def analyzed(tmp_path: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """systemd's judgement of the unit, whose program is one that is here."""
    path = tmp_path / "roost.service"
    path.write_text(UNIT.replace("/usr/bin/roost", sys.executable))
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *command, path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@needs_systemd
def test_systemd_takes_it(tmp_path: Path) -> None:
    done = analyzed(tmp_path, "verify")
    assert done.returncode == 0, done.stderr
    assert "roost.service" not in done.stderr, "a setting that it does not know is only named"


@needs_systemd
def test_little_is_left_open(tmp_path: Path) -> None:
    done = analyzed(tmp_path, "security", "--offline=true")
    found = re.search(r"exposure level for roost\.service: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE_MAX


def test_it_starts_a_member_by_the_sample() -> None:
    [start] = said("ExecStart")
    program, name, *flags = shlex.split(start)
    assert program == "/usr/bin/roost"
    command = main.get_command(main.make_context("roost", [], resilient_parsing=True), name)
    assert command is not None
    assert command.make_context(name, flags).params["config_file"] == "/etc/roost/roost.yaml"
    [state], [place] = said("StateDirectory"), said("WorkingDirectory")
    assert place == f"/var/lib/{state}"
    sample = load_settings({"config-file": str(DEPLOY / "roost.yaml")}, {})
    assert sample == Settings(data_dir=f"{place}/data")


def test_its_times_and_codes_are_the_programs() -> None:
    [codes] = said("RestartPreventExitStatus")
    assert set(map(int, codes.split())) == {EXIT_USAGE, EXIT_LOCKED}
    [stop] = said("TimeoutStopSec")
    assert float(stop.removesuffix("s")) > DEFAULTS.shutdown_grace + STOP_S
    assert said("Type") == ["notify"]
    assert said("KillMode") == ["mixed"], "the keeper ends when the member does, and not before"
    assert said("WatchdogSec") == ["2min"]


def test_user_and_directories_are_those_of_the_unit() -> None:
    [user], [group] = said("User"), said("Group")
    made = (FOLDER / "sysusers.conf").read_text()
    assert re.search(rf'^u {user} - ".+" /var/lib/roost /usr/sbin/nologin$', made, re.MULTILINE)
    folders = re.findall(r"^d (\S+) (\d+) (\S+) (\S+) -$", (FOLDER / "tmpfiles.conf").read_text(),
                         re.MULTILINE)  # fmt: skip
    assert ("/var/lib/roost", said("StateDirectoryMode")[0], user, group) in folders
    assert ("/etc/roost", "0750", "root", group) in folders
