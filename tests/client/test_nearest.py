"""Which member counters are asked of: the nearest, the same again, and some that nobody named."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message

from roost.client.endpoints import Endpoint, parse_endpoints
from roost.client.errors import Busy, ClientError, OutcomeUnknown, RequestRefused, Unreachable
from roost.client.nearest import LOOK_AGAIN_S, Nearest
from roost.proto import counters_pb2 as pb
from roost.sim.members.loop import pass_time, run_virtually

Answer = TypeVar("Answer", bound=Message)
READ = "/roost.Counters/Read"


@dataclass
class Member:
    """How one endpoint answers: after so long, or with an error; and whom it says to count."""

    took_s: float = 0.01
    error: ClientError | None = None
    nodes: dict[str, list[str]] = field(default_factory=dict)
    asked: int = 0


class Ways:
    """Endpoints that were given, those that were learned, and members behind their names."""

    def __init__(self, given: str, members: dict[str, Member]) -> None:
        self.endpoints = parse_endpoints(given)
        self.members = members
        self.learned: list[str] = []

    def in_order(self) -> list[str]:
        return [it.name for it in self.endpoints]

    def learn(self, endpoint: Endpoint) -> None:
        self.learned.append(endpoint.name)

    async def call(self, path: str, request: Message, answer: type[Answer]) -> Answer:
        for name in self.in_order():
            try:
                return await self.call_at(name, path, request, answer)
            except (Unreachable, Busy):
                continue
        raise Unreachable("UNAVAILABLE", "nobody")

    async def call_at(
        self,
        endpoint: str,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        assert endpoint in (*self.in_order(), *self.learned)
        member = self.members[endpoint]
        member.asked += 1
        await pass_time(min(member.took_s, 5.0 if timeout_s is None else timeout_s))
        if timeout_s is not None and member.took_s > timeout_s:
            raise Unreachable("DEADLINE_EXCEEDED", "no answer in time")
        if member.error is not None:
            raise member.error
        if isinstance(request, pb.DescribeCountersRequest):
            nodes = [{"epoch": it, "client_urls": urls} for it, urls in member.nodes.items()]
            said: Message = pb.DescribeCountersResponse(said=json.dumps({"nodes": nodes}).encode())
        else:
            said = pb.CountersResponse()
        assert isinstance(said, answer)
        return said

    def forget_token(self, error: ClientError) -> bool:
        del error
        return False


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_virtually(story())


async def read(nearest: Nearest) -> None:
    await nearest.call(READ, pb.ReadCountersRequest(names=["a"]), pb.CountersResponse)


GIVEN = "a:1,b:1,c:1"


def test_the_fastest_is_asked_from_the_first_look_on() -> None:
    async def story() -> None:
        members = {"a:1": Member(0.03), "b:1": Member(0.01), "c:1": Member(0.02)}
        nearest = Nearest(Ways(GIVEN, members), timeout_s=5.0)
        await read(nearest)
        await pass_time(1.0)
        assert nearest.favourite == "b:1"
        before = members["b:1"].asked
        for _it in range(5):
            await read(nearest)
        assert members["b:1"].asked == before + 5
        assert nearest.in_order() == ["b:1", "a:1", "c:1"]
        await nearest.close()

    run(story)


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("UNAVAILABLE", "gone"),
        Busy("UNAVAILABLE", "counters: nothing was counted: NotReady: feeding"),
        OutcomeUnknown("UNAVAILABLE", "Connection reset by peer"),
    ],
)
def test_one_that_does_not_answer_is_left_and_the_next_is_stayed_with(error: ClientError) -> None:
    async def story() -> None:
        members = {"a:1": Member(0.03), "b:1": Member(0.01), "c:1": Member(0.04)}
        nearest = Nearest(Ways(GIVEN, members), timeout_s=5.0)
        await read(nearest)
        await pass_time(1.0)
        members["b:1"].error = error
        with pytest.raises(type(error)):
            await nearest.call_at("b:1", READ, pb.ReadCountersRequest(), pb.CountersResponse)
        assert nearest.favourite == ""
        await nearest.call_at("c:1", READ, pb.ReadCountersRequest(), pb.CountersResponse)
        assert nearest.favourite == "c:1"
        members["b:1"].error = None
        await pass_time(LOOK_AGAIN_S + 1.0)
        await read(nearest)
        await pass_time(1.0)
        assert nearest.favourite == "b:1", "it takes half as long"
        await nearest.close()

    run(story)


def test_one_on_this_machine_is_nearer_than_all_others() -> None:
    async def story() -> None:
        members = {"a:1": Member(0.01), "127.0.0.1:1": Member(0.05)}
        nearest = Nearest(Ways("a:1,127.0.0.1:1", members), timeout_s=5.0)
        assert nearest.in_order() == ["127.0.0.1:1", "a:1"]
        await pass_time(1.0)
        assert nearest.favourite == "127.0.0.1:1"
        await nearest.close()

    run(story)


def test_a_refusal_changes_nothing() -> None:
    async def story() -> None:
        members = {"a:1": Member()}
        nearest = Nearest(Ways("a:1", members), timeout_s=5.0)
        await nearest.call_at("a:1", READ, pb.ReadCountersRequest(), pb.CountersResponse)
        members["a:1"].error = RequestRefused("INVALID_ARGUMENT", "BadCounterName: no")
        with pytest.raises(RequestRefused):
            await read(nearest)
        assert nearest.favourite == "a:1"
        await nearest.close()

    run(story)


def test_a_slow_favourite_costs_a_read_a_part_of_its_time() -> None:
    async def story() -> None:
        members = {"a:1": Member(0.01), "b:1": Member(0.02)}
        ways = Ways("b:1,a:1", members)
        nearest = Nearest(ways, timeout_s=4.0)
        await read(nearest)
        await pass_time(1.0)
        assert nearest.favourite == "a:1"
        members["a:1"].took_s = 100.0
        began_s = asyncio.get_running_loop().time()
        await read(nearest)
        assert asyncio.get_running_loop().time() - began_s < 1.1
        await nearest.close()

    run(story)


def test_those_that_count_and_were_not_named_are_asked_too_and_forgotten_when_they_are_gone() -> (
    None
):
    async def story() -> None:
        nodes = {"aa": ["http://a:1"], "dd": ["http://d:1"]}
        members = {"a:1": Member(0.03, nodes=nodes), "http://d:1": Member(0.01, nodes=nodes)}
        ways = Ways("a:1", members)
        nearest = Nearest(ways, timeout_s=5.0)
        await read(nearest)
        await pass_time(1.0)
        assert ways.learned == ["http://d:1"]
        assert nearest.favourite == "http://d:1"
        assert nearest.in_order() == ["http://d:1", "a:1"]
        # What was given is gone: it goes on by what was learned.
        members["a:1"].error = Unreachable("UNAVAILABLE", "gone")
        await pass_time(LOOK_AGAIN_S + 1.0)
        await read(nearest)
        await pass_time(1.0)
        assert nearest.favourite == "http://d:1"
        members["a:1"].error = None
        for it in members.values():
            it.nodes = {"aa": ["http://a:1"]}
        await pass_time(LOOK_AGAIN_S + 1.0)
        nearest.in_order()
        await pass_time(1.0)
        assert nearest.in_order() == ["a:1"]
        await nearest.close()

    run(story)


@pytest.mark.parametrize(
    ("given", "url", "theirs"),
    [
        ("a:1", "http://d:1", {"other": ["http://d:1"]}),  # another cluster's
        ("a:1", "http://d:1", {}),  # of whatever there is
        ("https://a:1", "http://d:1", {"dd": ["http://d:1"]}),  # without TLS
        ("a:1", "http://localhost:1", {"dd": ["http://localhost:1"]}),  # by its own machine
        ("a:1", "what is that", {"dd": ["what is that"]}),
    ],
)
def test_an_address_that_may_be_somebody_else_is_left_alone(
    given: str, url: str, theirs: dict[str, list[str]]
) -> None:
    async def story() -> None:
        members = {
            given: Member(nodes={"aa": [], "dd": [url]}),
            url: Member(0.0001, nodes=theirs),
        }
        nearest = Nearest(Ways(given, members), timeout_s=5.0)
        await read(nearest)
        await pass_time(2.0)
        assert nearest.in_order() == [given]
        assert nearest.favourite == given
        await nearest.close()

    run(story)


def test_who_is_to_be_asked_in_order_is() -> None:
    async def story() -> None:
        members = {"a:1": Member(0.03), "b:1": Member(0.01)}
        nearest = Nearest(Ways("a:1,b:1", members), timeout_s=5.0, is_on=False)
        await read(nearest)
        await pass_time(1.0)
        assert (nearest.favourite, nearest.in_order()) == ("", ["a:1", "b:1"])
        assert members["b:1"].asked == 0
        await nearest.close()

    run(story)
