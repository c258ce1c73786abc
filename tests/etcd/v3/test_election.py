"""Elections against a list: who stands first in it leads, and nobody else is told so.

The stories run in virtual time on a replica of one; the candidates, leases and watchers are
etcd's own requests.
"""

from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from roost import etcd
from roost.call import Stream, StreamHandler, Unary
from roost.etcd.v3.candidates import Candidates
from roost.etcd.v3.long_reads import LongRead, Steps
from roost.proto import election_pb2 as ep
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.guarded import StreamAnswer
from tests.etcd.replica import Answer, LocalReplica

Tell = Callable[[bytes], None]
NAME = b"post"
NOT_LEADER = (2, "election: not leader")
NO_LEADER = (2, "election: no leader")


class Candidate:
    """One campaign: the stream on which it is told that it leads."""

    def __init__(self, lease: int, value: bytes, stream: StreamAnswer, handler: StreamHandler):
        self.lease, self.value = lease, value
        self.stream, self.handler = stream, handler

    @property
    def leader(self) -> ep.LeaderKey | None:
        """The key it was elected with; None while it waits."""
        if not self.stream.sent:
            return None
        return ep.CampaignResponse.FromString(self.stream.sent[0]).leader


class Post:
    """What is to be had, at a replica of one."""

    def __init__(self) -> None:
        self.replica = LocalReplica()
        self.routes = etcd.Services(self.replica, self.replica.store).routes()

    def call(self, method: str, request: Message) -> Answer:
        route = self.routes[f"/{method}".encode()]
        assert isinstance(route, Unary)
        answer = Answer()
        route.handle(answer, request.SerializeToString())
        return answer

    def ask(self, method: str, request: Message) -> Answer:
        return self.call(f"v3electionpb.Election/{method}", request)

    def open(self, method: str, request: Message) -> tuple[StreamAnswer, StreamHandler]:
        route = self.routes[f"/v3electionpb.Election/{method}".encode()]
        assert isinstance(route, Stream)
        stream = StreamAnswer("")
        handler = route.open(stream)
        handler.on_message(request.SerializeToString())
        return stream, handler

    def grant(self, lease: int) -> None:
        asked = pb.LeaseGrantRequest(TTL=100, ID=lease)
        assert self.call("etcdserverpb.Lease/LeaseGrant", asked).error is None

    def revoke(self, lease: int) -> None:
        asked = pb.LeaseRevokeRequest(ID=lease)
        assert self.call("etcdserverpb.Lease/LeaseRevoke", asked).error is None

    async def campaign(self, lease: int, value: bytes, name: bytes = NAME) -> Candidate:
        asked = ep.CampaignRequest(name=name, lease=lease, value=value)
        stream, handler = self.open("Campaign", asked)
        await until_idle()
        return Candidate(lease, value, stream, handler)

    def first(self, name: bytes = NAME) -> kv_pb2.KeyValue | None:
        """The key of who leads; None when nobody does."""
        answer = self.ask("Leader", ep.LeaderRequest(name=name))
        if answer.error is not None:
            assert answer.error == NO_LEADER
            return None
        return ep.LeaderResponse.FromString(answer.message or b"").kv

    def leader(self, name: bytes = NAME) -> tuple[bytes, bytes] | None:
        """Key and value of who leads."""
        kv = self.first(name)
        return None if kv is None else (kv.key, kv.value)


def run(story: Callable[[Post], Awaitable[None]]) -> None:
    async def main() -> None:
        post = Post()
        try:
            await story(post)
        finally:
            post.replica.close()

    run_virtually(main())


def key_of(lease: int, name: bytes = NAME) -> bytes:
    return b"%s/%x" % (name, lease)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("campaign"), st.integers(1, 5)),
        st.tuples(st.just("resign"), st.just(0)),
        st.tuples(st.just("proclaim"), st.integers(0, 9)),
        st.tuples(st.just("lose its lease"), st.integers(1, 5)),
        st.tuples(st.just("give up"), st.integers(1, 5)),
        st.tuples(st.just("resign as one who led"), st.integers(1, 5)),
    ),
    max_size=14,
)


class Line:
    """A post, and the list of those who want it: the first leads."""

    def __init__(self, post: Post) -> None:
        self.post = post
        self.line: list[Candidate] = []
        self.elected: dict[int, ep.LeaderKey] = {}
        self.leases = 10  # those of candidates are never used twice

    def of(self, who: int) -> Candidate | None:
        return next((it for it in self.line if it.lease % 10 == who), None)

    async def campaign(self, who: int) -> None:
        if self.of(who) is None:
            lease = self.leases + who
            self.leases += 10
            self.post.grant(lease)
            self.line.append(await self.post.campaign(lease, b"value of %d" % who))

    async def resign(self, _who: int) -> None:
        if self.line:
            leader = self.line.pop(0).leader
            assert self.post.ask("Resign", ep.ResignRequest(leader=leader)).error is None

    async def proclaim(self, number: int) -> None:
        for lease, leader in list(self.elected.items()):
            asked = ep.ProclaimRequest(leader=leader, value=b"said %d" % number)
            error = self.post.ask("Proclaim", asked).error
            leads = bool(self.line) and self.line[0].lease == lease
            assert error == (None if leads else NOT_LEADER)
            if leads:
                self.line[0].value = asked.value

    async def lose_its_lease(self, who: int) -> None:
        candidate = self.of(who)
        if candidate is not None:
            self.line.remove(candidate)
            self.post.revoke(candidate.lease)

    async def give_up(self, who: int) -> None:
        """Whoever leads is told already: what it does then is up to itself."""
        candidate = self.of(who)
        if candidate is not None and candidate is not self.line[0]:
            self.line.remove(candidate)
            candidate.handler.on_cancel()

    async def resign_as_one_who_led(self, who: int) -> None:
        """Nothing happens: the key it was elected with is gone."""
        leads = {self.line[0].lease} if self.line else set()
        for lease in [it for it in self.elected if it % 10 == who and it not in leads]:
            asked = ep.ResignRequest(leader=self.elected[lease])
            assert self.post.ask("Resign", asked).error is None

    def check(self) -> None:
        if self.line:
            first = self.line[0]
            assert self.post.leader() == (key_of(first.lease), first.value)
        else:
            assert self.post.leader() is None
        for position, candidate in enumerate(self.line):
            leader = candidate.leader
            assert (leader is not None) is (position == 0), "one is told, and it is the first"
            if leader is not None:
                self.elected[candidate.lease] = leader
                assert (leader.name, leader.key) == (NAME, key_of(candidate.lease))
                assert (leader.lease, leader.rev > 0) == (candidate.lease, True)


@settings(max_examples=40)
@given(STEPS)
def test_who_came_first_and_is_still_there_leads(steps: list[tuple[str, int]]) -> None:
    async def story(post: Post) -> None:
        line = Line(post)
        seen, watching = post.open("Observe", ep.LeaderRequest(name=NAME))
        told: list[kv_pb2.KeyValue] = []
        for what, who in steps:
            await getattr(line, what.replace(" ", "_"))(who)
            await until_idle()
            line.check()
            now = post.first()
            if now is not None and told[-1:] != [now]:
                told.append(now)
        shown = [ep.LeaderResponse.FromString(it).kv for it in seen.sent]
        assert shown == told, "every leader, and all it proclaimed"
        watching.on_cancel()
        for candidate in line.line:
            candidate.handler.on_cancel()
        await until_idle()

    run(story)


def test_a_key_that_was_made_anew_is_another_ones() -> None:
    """By the create revision: without it a resignation could end its successor's time."""

    async def story(post: Post) -> None:
        post.grant(1)
        first = (await post.campaign(1, b"old")).leader
        assert first is not None
        post.ask("Resign", ep.ResignRequest(leader=first))
        again = (await post.campaign(1, b"new")).leader
        assert again is not None
        assert (again.key, again.rev > first.rev) == (first.key, True)
        asked = ep.ProclaimRequest(leader=first, value=b"late")
        assert post.ask("Proclaim", asked).error == NOT_LEADER
        post.ask("Resign", ep.ResignRequest(leader=first))
        assert post.leader() == (key_of(1), b"new")

    run(story)


def test_who_campaigns_again_leads_still_and_has_its_new_value() -> None:
    async def story(post: Post) -> None:
        post.grant(1)
        first = await post.campaign(1, b"one")
        again = await post.campaign(1, b"two")
        assert first.leader == again.leader
        assert post.leader() == (key_of(1), b"two")

    run(story)


def test_elections_do_not_know_each_other() -> None:
    """Nor does one whose name begins as another's."""

    async def story(post: Post) -> None:
        for lease, name in ((1, b"post"), (2, b"poster"), (3, b"post/a")):
            post.grant(lease)
            candidate = await post.campaign(lease, name, name)
            if name != b"post/a":
                assert candidate.leader is not None
                assert post.leader(name) == (key_of(lease, name), name)
        assert post.leader(b"pos") is None

    run(story)


def test_many_who_observe_many_share_the_search_for_who_leads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Issue 14: each change had every observer walk over all candidates in one step."""
    candidates, observers, changes = 3000, 200, 5
    search = Candidates.search
    searches: list[bytes] = []

    def counted(self: Candidates, read: LongRead, prefix: bytes, tell: Tell) -> Steps:
        searches.append(prefix)
        return search(self, read, prefix, tell)

    monkeypatch.setattr(Candidates, "search", counted)

    async def story(post: Post) -> None:
        for number in range(candidates):  # who came first has the last name
            key = b"%s/%08d" % (NAME, candidates - number)
            post.call("etcdserverpb.KV/Put", pb.PutRequest(key=key))
        asked = ep.LeaderRequest(name=NAME)
        streams = [post.open("Observe", asked) for _ in range(observers)]
        await until_idle()
        for number in range(changes):
            doomed = pb.DeleteRangeRequest(key=b"%s/%08d" % (NAME, candidates - number))
            post.call("etcdserverpb.KV/DeleteRange", doomed)
            if number % 2:  # the search for who leads is under way as he goes, or has ended
                await until_idle()
        await until_idle()
        assert len(searches) <= 3 * changes
        last = b"%s/%08d" % (NAME, candidates - changes)
        for seen, watching in streams:
            told = [ep.LeaderResponse.FromString(it).kv for it in seen.sent]
            assert told[-1].key == last
            revisions = [it.create_revision for it in told]
            assert revisions == sorted(set(revisions)), "each once, in order"
            watching.on_cancel()
        leader = post.ask("Leader", asked)
        await until_idle()
        assert ep.LeaderResponse.FromString(leader.message or b"").kv.key == last

    run(story)


@pytest.mark.parametrize("method", ["Proclaim", "Resign"])
def test_who_names_no_key_is_told_so(method: str) -> None:
    async def story(post: Post) -> None:
        request = ep.ProclaimRequest() if method == "Proclaim" else ep.ResignRequest()
        answer = post.ask(method, request)
        assert answer.error is not None
        assert "leader" in answer.error[1]

    run(story)


def test_a_proclamation_keeps_the_lease_that_it_was_elected_with() -> None:
    """A value without the lease would lead for ever."""

    async def story(post: Post) -> None:
        post.grant(1)
        leader = (await post.campaign(1, b"v")).leader
        post.ask("Proclaim", ep.ProclaimRequest(leader=leader, value=b"w"))
        assert post.leader() == (key_of(1), b"w")
        post.revoke(1)
        assert post.leader() is None

    run(story)


def test_an_answer_says_at_which_revision_it_was_true() -> None:
    async def story(post: Post) -> None:
        post.grant(1)
        candidate = await post.campaign(1, b"v")
        said = ep.CampaignResponse.FromString(candidate.stream.sent[0])
        assert said.header.revision == said.leader.rev
        answer = post.ask("Proclaim", ep.ProclaimRequest(leader=said.leader, value=b"w"))
        proclaimed = ep.ProclaimResponse.FromString(answer.message or b"")
        assert proclaimed.header.revision == said.leader.rev + 1
        seen, watching = post.open("Observe", ep.LeaderRequest(name=NAME))
        await until_idle()
        shown = ep.LeaderResponse.FromString(seen.sent[0])
        assert shown.header.revision == shown.kv.mod_revision == said.leader.rev + 1
        watching.on_cancel()

    run(story)
