"""What members say of themselves travels between versions, and what is none is a peer's fault."""

import msgspec
import pytest

from roost.dashboard.facts import Facts, Latency, MalformedFacts, Sending, decode, encode
from roost.errors import PeerFault


def test_facts_come_back_as_they_were_told() -> None:
    told = Facts(
        role="leader",
        term=3,
        figures={"a": 1.5},
        latencies=(Latency(member="2a"),),
        sendings=(Sending(member="3", is_joining=True, sent_bytes=1, total_bytes=2, seconds=0.5),),
    )
    assert decode(encode(told)) == told


def test_a_newer_member_says_more_and_an_older_one_less() -> None:
    assert decode(msgspec.msgpack.encode({"term": 3, "mood": "good"})) == Facts(term=3)
    assert decode(msgspec.msgpack.encode({})) == Facts()


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa4term\xa1x"])
def test_what_is_none_is_the_peers_fault(body: bytes) -> None:
    with pytest.raises(MalformedFacts):
        decode(body)
    assert issubclass(MalformedFacts, PeerFault)
