"""deploy/roost.yaml has every setting, says what each does, and starts a member as it stands."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from roost.cli.settings import TAKEN, Flag, load_settings, read_given
from roost.settings import Settings
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.ports import free_ports
from tests.deploy.configured import DEPLOY
from tests.test_docs import load_generator

PATH = DEPLOY / "roost.yaml"
TEXT = PATH.read_text()
# The file itself is no setting of the file.
FLAGS = [it for it in TAKEN if it.name != "config-file"]


def test_it_is_what_the_program_says() -> None:
    generator = load_generator()
    assert generator.sample_config() == TEXT, "run `make docs`"
    assert set(generator.SETTING_GROUPS) <= {it.name for it in FLAGS}


@pytest.mark.parametrize("flag", FLAGS, ids=lambda it: it.name)
def test_a_setting_stands_in_it_with_its_sentence_its_kind_and_its_default(flag: Flag) -> None:
    [before] = re.findall(rf"((?:^# .*\n)+)#?{flag.name}: ", TEXT, re.MULTILINE)
    said = " ".join(it.removeprefix("# ") for it in before.splitlines())
    assert flag.text in said
    default = flag.default_text or "none"
    assert f"default: {default}".lower() in said.lower()


def test_it_has_the_defaults_but_for_where_the_data_lie(tmp_path: Path) -> None:
    expected = Settings(data_dir="/var/lib/roost/data")
    path = tmp_path / "roost.yaml"
    for text in (TEXT, re.sub(r"^#(?=[a-z])", "", TEXT, flags=re.MULTILINE)):
        path.write_text(text)
        assert read_given({"config-file": str(path)}, {}).unknown == ()
        assert load_settings({"config-file": str(path)}, {}) == expected
    given = read_given({"config-file": str(path)}, {}).raw
    empty = {it.name for it in FLAGS if not it.default_text}
    assert set(given) == {it.name for it in FLAGS} - empty | {"data-dir"}


def placed(text: str, data_dir: Path) -> str:
    """The sample for a member beside others on this machine: its directory, its ports."""
    client, peer = free_ports(2)
    text = text.replace('"/var/lib/roost/data"', f'"{data_dir}"')
    for name, port in (
        ("listen-client-urls", client),
        ("listen-peer-urls", peer),
        ("initial-advertise-peer-urls", peer),
    ):
        text = re.sub(
            rf"^#{name}: .*$", f"{name}: http://127.0.0.1:{port}", text, flags=re.MULTILINE
        )
    return text


@pytest.mark.slow
@pytest.mark.cluster
def test_a_member_starts_by_it(tmp_path: Path) -> None:
    path, log = tmp_path / "roost.yaml", tmp_path / "log"
    path.write_text(placed(TEXT, tmp_path / "data"))
    with log.open("wb") as said:
        command = [sys.executable, "-m", "roost", "serve", "--config-file", str(path)]
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        wait_until(lambda: "Try: " in log.read_text() or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        assert "'default' serves http://127.0.0.1:" in log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
