"""What is forwarded, as it travels: every request and every end of one is told as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.errors import (
    ModelRefused,
    NoLeader,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    Refused,
    RoostError,
    ShortOfMemory,
    Stopped,
)
from roost.flow import CONNECTION_MAX, Flow, flow_of
from roost.member import errors
from roost.member.errors import AnswerTooLarge, MalformedForward
from roost.member.pipeline import forwarded
from roost.member.pipeline.forwarded import Forwarded
from roost.raft.types import COUNT_MAX

IDS = st.integers(0, 2**64 - 1)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)


NAMED = [
    it
    for it in vars(errors).values()
    if isinstance(it, type) and issubclass(it, Refused | OutcomeUnknown)
]


def answers(*records: list[bytes], index: int = 100) -> bytes:
    """A frame of answers from a leader that had applied `index`."""
    return forwarded.encode_applied(index) + b"".join(b"".join(it) for it in records)


FLOWS = st.builds(
    flow_of, st.sampled_from(["", "10.0.0.1", "2001:db8::1"]), st.integers(0, CONNECTION_MAX)
)
FLOWS |= st.builds(Flow.as_user, FLOWS, st.text())
REQUESTS = st.builds(Forwarded, IDS, NAMES, st.binary(max_size=300), FLOWS)


@given(st.lists(REQUESTS, max_size=5))
def test_requests_survive_a_frame(records: list[Forwarded]) -> None:
    frame = b"".join(b"".join(forwarded.encode_request(*record)) for record in records)
    assert forwarded.decode_requests(frame) == records


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused_by_name(frame: bytes) -> None:
    for decode in (forwarded.decode_requests, forwarded.decode_answers):
        try:
            decode(frame)
        except MalformedForward:
            pass  # that is a name


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModelRefused(11, "etcdserver: mvcc: required revision has been compacted"), Refused),
        (NotLeader("no"), NotLeader),
        (NoLeader("nobody"), NotLeader),
        (Stopped("gone"), NotLeader),
        (Overloaded("full"), Overloaded),
        (ShortOfMemory("ulimit -v"), ShortOfMemory),
        (OutcomeUnknown("lost"), OutcomeUnknown),
        (Refused("plain"), Refused),
        *((kind("why it is so"), kind) for kind in NAMED),
    ],
)
def test_an_error_keeps_its_meaning_across_the_link(
    error: RoostError, kind: type[RoostError]
) -> None:
    frame = answers(forwarded.encode_answer(7, error), index=9)
    index, [(request_id, decoded)] = forwarded.decode_answers(frame)
    assert (index, request_id) == (9, 7)
    assert isinstance(decoded, kind)
    assert str(decoded) == str(error)


def test_a_name_that_is_not_known_here_stands_for_its_family() -> None:
    """A newer member may have leaves that this one has not."""

    class New(Refused): ...

    class Newer(OutcomeUnknown): ...

    for error, family in ((New("no"), Refused), (Newer("lost"), OutcomeUnknown)):
        frame = answers(forwarded.encode_answer(7, error))
        _, [(_, decoded)] = forwarded.decode_answers(frame)
        assert type(decoded) is family
        assert str(decoded) == str(error)


@given(st.lists(st.tuples(IDS, st.binary(max_size=300)), max_size=5), st.integers(0, COUNT_MAX))
def test_answers_survive_a_frame(records: list[tuple[int, bytes]], index: int) -> None:
    frame = answers(*(forwarded.encode_answer(*record) for record in records), index=index)
    assert forwarded.decode_answers(frame) == (index, records)


def test_a_frame_that_was_cut_within_a_record_is_refused() -> None:
    request = b"".join(forwarded.encode_request(7, "put", b"body"))
    for cut in range(1, len(request)):
        with pytest.raises(MalformedForward):
            forwarded.decode_requests(request[:cut])
    frame = answers(forwarded.encode_answer(7, b"body"))
    for cut in range(9, len(frame)):
        with pytest.raises(MalformedForward):
            forwarded.decode_answers(frame[:cut])


def test_no_leader_has_applied_what_cannot_be_counted() -> None:
    """Its answers would be held for ever: nobody applies that position."""
    with pytest.raises(MalformedForward):
        forwarded.decode_answers(forwarded.encode_applied(COUNT_MAX + 1))


@pytest.mark.parametrize(("ending", "body"), [(5, b""), (1, b""), (1, b"\x11text")])
def test_an_end_that_is_none_is_refused(ending: int, body: bytes) -> None:
    record = [forwarded._HEAD.pack(7, ending, len(body)), body]
    with pytest.raises(MalformedForward):
        forwarded.decode_answers(answers(record))


def test_an_answer_that_no_link_takes_is_an_outcome_that_cannot_be_told() -> None:
    frame = answers(forwarded.encode_answer(7, bytes(forwarded.BODY_BYTES_MAX + 1)))
    _, [(_, outcome)] = forwarded.decode_answers(frame)
    assert isinstance(outcome, AnswerTooLarge)
