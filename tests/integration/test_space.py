"""Space of a real member: the quota holds, and space comes back when it is said to."""

from pathlib import Path

import pytest

from roost.client import Client, ClientError
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from tests.integration.etcdctl import etcdctl

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
QUOTA_BYTES = 16 << 20
VALUE = bytes(200_000)


def fill(cluster: Cluster) -> int:
    """Put until there is no space; say how many puts there were."""
    count = 0
    with Client(cluster.endpoints, timeout_s=60) as client:
        while count < 1000:
            try:
                client.put(b"k%d" % (count % 3), VALUE)
            except ClientError as refused:
                assert "database space exceeded" in str(refused)  # noqa: PT017 - any other raises
                return count
            count += 1
    raise AssertionError("the quota was never reached")


def test_the_quota_holds_and_space_comes_back_when_it_is_said_to(tmp_path: Path) -> None:
    flags = [f"--quota-backend-bytes={QUOTA_BYTES}"]
    with Cluster(tmp_path, 1, extra_flags=flags) as cluster:
        cluster.leader()
        endpoint = cluster.endpoints[0]
        count = fill(cluster)
        full = cluster.status(0)
        # What was acknowledged a moment ago counts, though it may stand in no file yet.
        assert QUOTA_BYTES * 0.7 < full.dbSizeInUse <= QUOTA_BYTES * 1.05
        assert full.dbSize <= QUOTA_BYTES * 1.5
        etcdctl(endpoint, "compact", "--physical=true", str(full.header.revision))
        compacted = cluster.status(0)
        assert compacted.dbSizeInUse < 4 << 20, "only three values are left"
        etcdctl(endpoint, "defrag")
        small = cluster.status(0)
        assert small.dbSize < 4 << 20
        with Client(cluster.endpoints, timeout_s=60) as client:
            wait_until(lambda: client.alarms() == [])
            client.put(b"after", VALUE)
            assert [it.key for it in client.range(b"\0", b"\0")] == [b"after", b"k0", b"k1", b"k2"]
            large = cluster.status(0)
            assert large.dbSizeInUse > small.dbSizeInUse + len(VALUE)
    assert count > 20
