"""Pages of figures: what was done is counted once, where it was."""

from roost.database.model import MemberRecord
from roost.exchange import Answer
from roost.member.round_trips import Spread
from roost.sim.members.loop import run_virtually
from tests.etcd.v2.face import Face, json_of


async def ask(face: Face, name: str, method: str = "GET") -> Answer:
    answer = await face.request(method, f"/v2/stats/{name}")
    assert isinstance(answer, Answer)
    return answer


def test_each_kind_of_request_is_counted_with_its_outcome() -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/a", value="1")
            await face.ask("PUT", "/a/b", value="1")  # no directory
            await face.ask("PUT", "/a", value="2", prevExist="true")
            await face.ask("PUT", "/b", prevExist="true")
            await face.ask("PUT", "/c", prevExist="false", ttl=1)
            await face.ask("POST", "/q")
            await face.ask("PUT", "/a", prevExist="false")
            await face.ask("PUT", "/a", value="3", prevValue="2")
            await face.ask("PUT", "/a", value="3", prevValue="2")
            await face.ask("DELETE", "/a", prevValue="9")
            await face.ask("DELETE", "/a", prevValue="3")
            await face.ask("DELETE", "/q")
            await face.ask("DELETE", "/q", recursive="true")
            await face.ask("GET", "/q")
            await face.ask("GET", "/")
            face.now_s += 5.0
            face.v2._expiry.look()
            await face.watch("/a")
            assert json_of(await ask(face, "store")) == {
                "getsSuccess": 1,
                "getsFail": 1,
                "setsSuccess": 1,
                "setsFail": 1,
                "deleteSuccess": 1,
                "deleteFail": 1,
                "updateSuccess": 1,
                "updateFail": 1,
                "createSuccess": 2,
                "createFail": 1,
                "compareAndSwapSuccess": 1,
                "compareAndSwapFail": 1,
                "compareAndDeleteSuccess": 1,
                "compareAndDeleteFail": 1,
                "expireCount": 1,
                "watchers": 1,
            }

    run_virtually(story())


def test_a_member_says_who_it_is_and_who_leads_since_when() -> None:
    async def story() -> None:
        with Face() as face:
            face.v2.look()
            face.now_s += 90.5
            shown = json_of(await ask(face, "self"))
            assert shown == {
                "name": "m",
                "id": "1",
                "state": "StateLeader",
                "startTime": "2026-01-01T12:00:00Z",
                "leaderInfo": {
                    "leader": "1",
                    "uptime": "1m30.5s",
                    "startTime": "2026-01-01T12:00:00Z",
                },
            }
            face.replica.leader_id = 2
            face.v2.look()
            shown = json_of(await ask(face, "self"))
            assert shown["state"] == "StateFollower"
            assert shown["leaderInfo"]["startTime"] == "2026-01-01T12:01:30.5Z"

    run_virtually(story())


def test_a_leader_says_how_long_its_followers_take() -> None:
    async def story() -> None:
        with Face() as face:
            times = Spread(lost_count=1)
            times.note(0.001)
            times.note(0.003)
            face.replica.times = {2: times, 3: times}
            other = MemberRecord(id=2, name="n", peer_urls=())
            own = face.replica.members()
            face.replica.members = lambda: [*own, other]  # type: ignore[method-assign]  # two
            assert json_of(await ask(face, "leader")) == {
                "leader": "1",
                "followers": {
                    "2": {
                        "latency": {
                            "current": 3.0,
                            "average": 2.0,
                            "standardDeviation": 1.0,
                            "minimum": 1.0,
                            "maximum": 3.0,
                        },
                        "counts": {"fail": 1, "success": 2},
                    }
                },
            }
            face.replica.leader_id = 2
            answer = await ask(face, "leader")
            assert (answer.status, json_of(answer)) == (403, {"message": "not current leader"})

    run_virtually(story())


def test_other_pages_and_methods_are_refused() -> None:
    async def story() -> None:
        with Face() as face:
            assert (await ask(face, "self", "PUT")).status == 405
            for name in ("", "nothing", "self/"):
                assert (await ask(face, name)).status == 404

    run_virtually(story())
