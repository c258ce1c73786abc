"""`roost snapshot save` over several endpoints: all of it, from the first that has all of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from roost.cli.exits import EXIT_UNREACHABLE
from roost.cli.main import main
from roost.proto import rpc_pb2 as pb
from roost.testing.cluster import Cluster
from roost.testing.ports import free_ports
from tests.client.fakes import GONE, SNAPSHOT, Fake, failing

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
PIECE = pb.SnapshotResponse(blob=b"the beginning of a file that is never whole")


def roost(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(it) for it in arguments])


def test_a_member_that_is_gone_in_the_middle_is_left_for_the_next(tmp_path: Path) -> None:
    saved = tmp_path / "saved.db"
    with (
        Cluster(tmp_path, 1) as cluster,
        Fake({SNAPSHOT: failing(GONE, "Socket closed", PIECE)}) as broken,
    ):
        cluster.leader()
        at = f"{broken.endpoint},{cluster.endpoints[0]}"
        done = roost("snapshot", "save", saved, "--endpoints", at)
        assert done.exit_code == 0, done.output
        assert "a member is gone, asking the next" in done.output
        assert broken.count(SNAPSHOT) == 1
    checked = roost("snapshot", "status", saved)
    assert checked.exit_code == 0, checked.output


def test_half_a_file_is_none(tmp_path: Path) -> None:
    saved = tmp_path / "saved.db"
    with Fake({SNAPSHOT: failing(GONE, "Socket closed", PIECE)}) as broken:
        at = f"{broken.endpoint},127.0.0.1:{free_ports(1)[0]}"
        done = roost("snapshot", "save", saved, "--endpoints", at, "--timeout", "2")
    assert done.exit_code == EXIT_UNREACHABLE, done.output
    assert list(tmp_path.iterdir()) == []
