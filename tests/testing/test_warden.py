"""The warden: members that it starts, what it says of them, and its own end."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from subprocess import PIPE

import pytest

from roost.testing import warden as module
from roost.testing.patience import wait_until
from roost.testing.ports import free_ports
from roost.testing.processes import is_there
from roost.testing.warden import Start, Ward, Warden, WardenError

pytestmark = pytest.mark.slow


@pytest.fixture
def warden() -> Iterator[Warden]:
    held = Warden()
    yield held
    held.close()


def serving(root: Path) -> list[str]:
    """The arguments of a member on ports of its own."""
    client, peer = (f"http://127.0.0.1:{it}" for it in free_ports(2))
    return [
        *("serve", f"--data-dir={root / 'data'}", "--name=m0", f"--initial-cluster=m0={peer}"),
        *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
    ]


def test_a_process_is_roost_with_these_arguments(warden: Warden, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert warden.end_of(warden.start(["--version"], log)) == 0
    assert log.read_text().startswith("roost ")
    assert warden.end_of(warden.start(["no-such-command"], log)) == 2
    assert "no-such-command" in log.read_text()


def test_a_process_may_be_another_program_and_lead_a_group(warden: Warden, tmp_path: Path) -> None:
    log, program = tmp_path / "log", tmp_path / "other.py"
    program.write_text("import os, sys\nprint(os.getpgrp() == os.getpid(), sys.orig_argv)\n")
    for has_own_group in (False, True):
        asked = Start(["a"], str(log), program=str(program), has_own_group=has_own_group)
        pid = warden.start_as(asked)
        assert warden.end_of(pid) == 0
    # By its last words a member that replaces itself would be the same again.
    again = [sys.executable, str(program), "a"]
    assert log.read_text().splitlines() == [f"False {again}", f"True {again}"]


def test_a_process_has_streams_and_an_environment_of_its_own(
    warden: Warden, tmp_path: Path
) -> None:
    program, typed, log, errors = (tmp_path / it for it in ("it.py", "typed", "log", "errors"))
    program.write_text(
        "import os, sys\nsys.stderr.write(os.environ['MINE'])\nprint(sys.stdin.read(), *os.environ)"
    )
    typed.write_text("words")
    asked = Start([], str(log), str(program), errors=str(errors), typed=str(typed))
    pid = warden.start_as(replace(asked, environment={"MINE": "mine"}))
    assert warden.end_of(pid) == 0
    assert (log.read_text(), errors.read_text()) == ("words MINE\n", "mine")


def test_what_cannot_be_started_is_said(warden: Warden, tmp_path: Path) -> None:
    with pytest.raises(WardenError, match="cannot be started"):
        warden.start(["--version"], tmp_path / "none" / "log")


def test_a_signal_ends_one_and_none_that_has_ended(warden: Warden, tmp_path: Path) -> None:
    pid = warden.start(serving(tmp_path), tmp_path / "log")
    warden.send_signal(pid, signal.SIGKILL)
    assert warden.end_of(pid) == -signal.SIGKILL
    warden.send_signal(pid, signal.SIGKILL)
    assert warden.code(pid) == -signal.SIGKILL


def test_a_process_has_the_face_of_popen(warden: Warden, tmp_path: Path) -> None:
    log = tmp_path / "log"
    ward = Ward(warden, warden.start(serving(tmp_path), log))
    assert ward.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        ward.wait(0)
    wait_until(lambda: log.exists() and b"serves" in log.read_bytes())
    ward.terminate()
    assert ward.wait() == ward.poll() == 0


def test_who_asks_a_warden_that_is_gone_is_told(tmp_path: Path) -> None:
    warden = Warden()
    warden.close()
    warden.close()
    with pytest.raises(WardenError, match="gone"):
        warden.start(["--version"], tmp_path / "log")


def test_with_the_warden_its_members_are_killed(tmp_path: Path) -> None:
    warden = Warden()
    try:
        pid = warden.start(serving(tmp_path), tmp_path / "log")
        warden._process.kill()
        wait_until(lambda: not is_there(pid))
    finally:
        warden.close()


def test_a_member_whose_warden_ended_before_it_ran_is_none() -> None:
    """It took whoever its parent was by then for its warden, and lived on."""
    ended = "4194305"  # more than any process's number
    asked = "it.Start(['--version'], '')"
    command = f"from roost.testing import warden as it; it._be_member({asked}, {{}}, {ended})"
    done = subprocess.run([sys.executable, "-c", command], stdout=PIPE, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_there_is_a_bound_on_members(
    warden: Warden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is the process's, so it is tried where it stands."""
    monkeypatch.setattr(module, "MEMBERS_MAX", 0)
    near, far = socket.socketpair()
    with near, far:
        keeping = module._Keeping(far.detach(), 1)
        with keeping._socket:
            asked = {"start": asdict(Start([], str(tmp_path / "log")))}
            assert "0 members run already" in keeping._answer(asked)["error"]
            assert "does not know" in keeping._answer({"what": 1})["error"]


def test_a_process_is_not_taken_for_an_earlier_one_of_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel counts to `pid_max` and begins again: a member that ran was said to be killed."""
    near, far = socket.socketpair()
    with near, far, subprocess.Popen([sys.executable, "-c", "input()"], stdin=PIPE) as child:
        keeping = module._Keeping(far.detach(), 1)
        with keeping._socket:
            keeping._codes[child.pid] = -9
            monkeypatch.setattr("roost.testing.warden.os.fork", lambda: child.pid)
            asked = {"start": asdict(Start([], str(tmp_path / "log")))}
            assert keeping._answer(asked) == {"pid": child.pid}
            assert keeping._answer({"code": child.pid}) == {"code": None}
            child.communicate(b"\n")
