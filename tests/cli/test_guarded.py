"""What runs only as long as something is held is told to end, whenever that is said."""

import os
import signal
import subprocess

import pytest

from roost.cli.guarded import Guarded


@pytest.mark.slow
def test_a_signal_that_comes_while_the_command_starts_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Starting(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]  # as given
            os.kill(os.getpid(), signal.SIGTERM)  # it runs, and nobody knows it yet

    monkeypatch.setattr("roost.cli.guarded.subprocess.Popen", Starting)
    assert Guarded(("sleep", "600"), {}).run(1.0) == 128 + signal.SIGTERM


@pytest.mark.slow
def test_what_is_lost_before_it_starts_does_not_start() -> None:
    guarded = Guarded(("no-such-command",), {})
    guarded.lose()
    assert guarded.run(1.0) is None
