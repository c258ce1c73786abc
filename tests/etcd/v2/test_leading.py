"""Clients that are sent to the leader, where that is asked for."""

import pytest

from roost.exchange import Answer
from roost.sim.members.loop import run_virtually
from tests.etcd.v2.face import Face, json_of


async def ask(face: Face, method: str, target: str) -> Answer:
    answer = await face.request(method, target)
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize(
    ("method", "target", "is_moved"),
    [
        ("PUT", "/v2/keys/a%20b?value=1&x=%zz", False),  # is no request
        ("PUT", "/v2/keys/a%20b?value=1", True),
        ("POST", "/v2/keys/q", True),
        ("DELETE", "/v2/keys/a", True),
        ("GET", "/v2/keys/?consistent=true", True),
        ("GET", "/v2/keys/?consistent=TRUE", True),
        ("GET", "/v2/keys/?consistent=maybe", False),
        ("GET", "/v2/stats/leader", True),
        ("GET", "/v2/stats/store", False),
    ],
)
def test_writes_and_consistent_reads_go_where_the_cluster_leads(
    method: str, target: str, *, is_moved: bool
) -> None:
    async def story() -> None:
        with Face(v2_redirects=True) as face:
            assert (await ask(face, method, target)).status != 307
            own, there = face.replica.members()[0], "http://there:1/"
            other = type(own)(id=2, name="n", peer_urls=(), client_urls=(there,))
            face.replica.members = lambda: [own, other]  # type: ignore[method-assign]  # two
            face.replica.leader_id = 2
            answer = await ask(face, method, target)
            assert (answer.status == 307) is is_moved
            if is_moved:
                assert answer.headers == ((b"location", b"http://there:1" + target.encode()),)
            face.replica.leader_id = 0
            answer = await ask(face, method, target)
            if is_moved:
                assert (answer.status, json_of(answer)["errorCode"]) == (500, 301)

    run_virtually(story())


@pytest.mark.parametrize("redirects", [False, True])
def test_nobody_is_sent_to_a_leader_that_has_not_said_where_it_is(*, redirects: bool) -> None:
    async def story() -> None:
        with Face(v2_redirects=redirects) as face:
            face.replica.leader_id = 2
            assert (await ask(face, "PUT", "/v2/keys/a?value=1")).status == 201

    run_virtually(story())
