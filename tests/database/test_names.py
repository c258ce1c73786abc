"""What stands at `roost` itself: both ways to open, and the names that a program needs."""

import inspect
import subprocess
import sys
from collections.abc import Sequence
from typing import get_type_hints

import pytest

import roost
from roost import aio, opening
from roost.database.aio import open_database
from roost.settings import Settings, SettingsArguments
from roost.settings.settings import Texts

# What a program says otherwise.
OF_PROGRAMS = {
    "name", "data_dir", "logger", "log_outputs", "log_level", "log_format", "config_file",
    *(it for it in get_type_hints(Settings) if it.startswith("discovery")),
    *(it for it in get_type_hints(Settings) if "distributed_tracing" in it),
}  # fmt: skip


def test_both_ways_to_open_take_the_same() -> None:
    blocking, ours = inspect.signature(roost.open), inspect.signature(aio.open)
    assert list(blocking.parameters.values()) == list(ours.parameters.values())
    inner = inspect.signature(open_database).parameters
    assert [it for it in inner.values() if it.name != "builder"] == list(ours.parameters.values())


def test_settings_are_those_of_the_command_line() -> None:
    fields = get_type_hints(Settings)
    given = get_type_hints(SettingsArguments)
    wanted = {name: it for name, it in fields.items() if name not in OF_PROGRAMS}
    assert given == {it: Sequence[str] if kind == Texts else kind for it, kind in wanted.items()}


def test_every_public_name_is_there_and_nothing_else() -> None:
    for name in roost.__all__:
        assert getattr(roost, name) is not None
    assert roost.open is opening.open
    with pytest.raises(AttributeError, match="opne"):
        _ = roost.opne  # type: ignore[attr-defined]  # it is not there


def test_a_name_is_imported_when_it_is_used() -> None:
    asked = (
        "import sys, roost; print('lmdb' in sys.modules); roost.open; print('lmdb' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True"]
