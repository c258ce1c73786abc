"""Three members with a browser before them, once for each file of tests that wants them."""

from collections.abc import Iterator

import pytest

from roost.client import Client
from roost.testing.cluster import Cluster
from tests.dashboard.browser import Browser, Page


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    # As long as directories are, with no place in it where a line would be broken.
    kept = tmp_path_factory.mktemp("kept") / "_".join(["backups"] * 12)
    flags = ["--enable-v2", f"--backup-dir={kept}"]
    with Cluster(tmp_path_factory.mktemp("members"), 3, extra_flags=flags) as started:
        started.leader()
        yield started


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(",".join(cluster.endpoints)) as one:
        yield one


@pytest.fixture
def page(cluster: Cluster, browser: Browser) -> Iterator[Page]:
    """On a member that does not lead; nothing may be wrong with it in the end."""
    follower = next(it for it in cluster.running if it != cluster.leader())
    with browser.open(f"http://{cluster.endpoints[follower]}/dashboard/") as opened:
        opened.wait_text("live from")
        yield opened
        assert opened.errors == []
        foreign = [it for it in opened.requested if cluster.endpoints[follower] not in it]
        assert [it for it in foreign if not it.startswith(("data:", "blob:", "about:"))] == []
