"""Two clusters of real processes, linked over HTTP: with users, through kills, exact."""

from pathlib import Path

import pytest

from roost.client import Client, ClientError, Credentials, Permission
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until

USER, PASSWORD = "link", "a secret of ours"


def read(client: Client, name: str) -> int | None:
    """What a counter reads; None = there is none, or nobody answers just now."""
    try:
        return client.counters.read(name)[name]
    except ClientError:
        return None


def let_in(client: Client) -> None:
    """Have a user who may tell what is counted elsewhere, and nothing else."""
    users = client.users
    for name, role in (("root", "root"), (USER, "links")):
        users.add_user(name, PASSWORD)
        users.add_role(role)
        users.grant_role(name, role)
    users.grant_permission("links", Permission("readwrite", b"counters/", b"counters0"))
    users.enable()


@pytest.mark.slow
@pytest.mark.cluster
def test_clusters_read_one_sum_over_http_with_users_and_through_a_kill(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user.write_text(f"{USER}:{PASSWORD}\n")
    user.chmod(0o600)
    flags = [f"--counters-link-user-file={user}"]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        Cluster(tmp_path / "one", 1, extra_flags=flags) as one,
        Cluster(tmp_path / "two", 1) as two,
    ):
        one.leader()
        two.leader()
        with Client(two.endpoints, timeout_s=60.0) as client:
            let_in(client)
        root = Credentials(user="root", password=PASSWORD)
        with (
            Client(one.endpoints, timeout_s=60.0) as here,
            Client(two.endpoints, timeout_s=60.0, credentials=root) as there,
        ):
            here.counters.increment("views", 5)
            there.counters.increment("views", 20)
            here.counters.administer("link", name=f"http://{two.endpoints[0]}")
            wait_until(lambda: read(there, "views") == 25)
            assert read(here, "views") == 5, "a link goes one way"
            [row] = here.counters.describe("links")["links"]
            assert (row["stage"], row["error"]) == ("sending", "")
            two.kill(0)
            for _it in range(20):
                here.counters.increment("views")
            two.start(0)
            wait_until(lambda: read(there, "views") == 45)
            parts = there.counters.read_raw("views")["views"]
            assert sorted(parts.values()) == [20, 25]
            wait_until(lambda: any("@" in it for it in there.counters.read_raw("views")["views"]))
