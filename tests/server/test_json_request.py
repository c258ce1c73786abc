"""Requests from JSON: what the gateway takes, and what it refuses."""

import base64
import json

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.server import json_request
from roost.server.json_request import DEPTH_MAX, FIELDS_A_STEP, LONG_CHARS, build, fill
from roost.server.json_text import BadJson, read_whole
from tests.integration.edges import every_edge
from tests.steps import slices_of

KEY = b"a" * 60 + b"\xff\xfe\xfb"
A = base64.b64encode(b"a").decode()


def read(kind: type[Message], text: str) -> Message:
    return build(kind, read_whole(text))


@pytest.mark.parametrize("is_camel", [False, True])
@pytest.mark.parametrize(
    "plain",
    [
        pb.RangeRequest(key=b"a"),
        pb.TxnRequest(success=[pb.RequestOp(request_put=pb.PutRequest(key=b"a"))]),
        pb.MemberAddRequest(peerURLs=["http://a:1"]),
        pb.AlarmRequest(),
        pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"a")),
        pb.AuthRoleGrantPermissionRequest(name="r", perm=auth_pb2.Permission(key=b"a")),
    ],
)
def test_every_edge_of_every_field_is_read_as_it_is_written(
    plain: Message, *, is_camel: bool
) -> None:
    for request in every_edge(plain):
        text = json_format.MessageToJson(request, preserving_proto_field_name=not is_camel)
        assert read(type(plain), text) == request, text


def test_base64_is_padded_and_may_be_broken_into_lines() -> None:
    text = base64.b64encode(KEY).decode()
    for key in (text, f"{text[:20]}\n{text[20:]}\n", f"{text[:40]}\r\n{text[40:]}"):
        assert read(pb.RangeRequest, json.dumps({"key": key})) == pb.RangeRequest(key=KEY)
    for key in ("YQ==", "YQ\n=\n=\n", "YR=="):
        assert read(pb.RangeRequest, json.dumps({"key": key})) == pb.RangeRequest(key=b"a")


@pytest.mark.parametrize(
    ("key", "at"),
    [
        *(("foo", 0), ("f", 0), ("Zm9vYg", 4), ("foo\n", 1), ("\nfoo", 1), ("Zm9v\nYg", 5)),
        *(("foo==", 4), ("fo=", 3), ("fo=\n\n", 5), ("f===", 1), ("=", 0), ("====", 0)),
        *(("Zm8==", 4), ("Zm9v=", 4), ("Zm9v====", 4), ("Zg=g", 2), ("Zg=\ng", 3)),
        *(("Zg==\nZ", 5), ("Zm8=\nZ", 5), ("fo-_", 2), ("_-", 0), ("Zm 9v", 2)),
        *(("fooé", 3), ("fo\0o", 2), ("a*bc", 1), ("Zm9vé", 4), ("Zg==é", 4)),
    ],
)
def test_what_is_no_base64_is_refused_in_etcds_words(key: str, at: int) -> None:
    """As etcd 3.5.1 answered (`tests/integration/test_twins.py` asks it); `foo` was two bytes."""
    with pytest.raises(BadJson) as raised:
        read(pb.RangeRequest, json.dumps({"key": key}))
    assert str(raised.value) == f"illegal base64 data at input byte {at}"


@pytest.mark.parametrize("part_chars", [4, 5, 7, 8, 20])
def test_base64_that_is_decoded_in_parts_is_what_it_is_as_a_whole(
    part_chars: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [KEY[:size] for size in range(12)] + [KEY]
    texts = [base64.b64encode(it).decode() for it in words]
    texts += [it.rstrip("=") for it in texts] + [it + "\n" * 9 for it in texts]
    texts += ["\n".join(it) for it in texts]
    texts += [f"{it}{more}" for it in texts for more in ("=", "Y", "YQ==", "!", "é", " ")]

    def outcomes() -> list[object]:
        found: list[object] = []
        for text in texts:
            try:
                found.append(build(pb.RangeRequest, {"key": text}))
            except BadJson as error:
                found.append(str(error))
        return found

    whole = outcomes()
    monkeypatch.setattr(json_request, "LONG_CHARS", part_chars)
    assert outcomes() == whole
    assert sum(isinstance(it, str) for it in whole) > 50


def test_a_long_value_is_decoded_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 14: a megabyte of base64 was one step of seven milliseconds."""
    longest, honest = 0, base64.b64decode

    def counting(text: str) -> bytes:
        nonlocal longest
        longest = max(longest, len(text))
        return honest(text)

    monkeypatch.setattr(base64, "b64decode", counting)
    value, message = bytes(1 << 20), pb.PutRequest()
    steps = sum(1 for _ in fill(message, {"value": honest_text(value)}))
    assert (message.value, longest <= LONG_CHARS + 8) == (value, True)
    assert steps >= 3, "six parts are the work of a turn"
    refused = fill(message, {"value": honest_text(value)[:-1] + "*"})
    with pytest.raises(BadJson, match="at input byte 1398102"):
        steps = sum(1 for _ in refused)


def honest_text(value: bytes) -> str:
    return base64.b64encode(value).decode()


WRONG: dict[str, list[object]] = {
    "sort_order": ["FOO", "ascend", "1", "", 1.0, 1.5, True, 1 << 31, [], {}],
    "limit": [
        *(5.0, "5.0", "+5", "0x5", "1_0", "", "٣", True, 1 << 63, [], {}),
        *(str(1 << 63), -(1 << 63) - 1, "NaN", "5 5", "05"),
    ],
    "serializable": ["true", 1, 0, "", [], {}],
    "key": [5, True, ["YQ=="], {}, 1.5],
}


@pytest.mark.parametrize(("field", "value"), [(name, it) for name in WRONG for it in WRONG[name]])
def test_what_is_of_another_type_is_refused_and_never_a_default(field: str, value: object) -> None:
    with pytest.raises(BadJson, match=f"^{field}"):
        read(pb.RangeRequest, json.dumps({"key": A, field: value}))


def test_names_numbers_nulls_and_what_is_not_known() -> None:
    for text, expected in (
        ('{"key":"YQ==","limit":" 5"}', pb.RangeRequest(key=b"a", limit=5)),
        ('{"key":"YQ==","rangeEnd":"Yg=="}', pb.RangeRequest(key=b"a", range_end=b"b")),
        ('{"key":"YQ==","sort_order":"DESCEND"}', pb.RangeRequest(key=b"a", sort_order="DESCEND")),
        ('{"key":"YQ==","sort_order":2}', pb.RangeRequest(key=b"a", sort_order="DESCEND")),
        ('{"key":null,"limit":null,"x":{"a":[1.5]}}', pb.RangeRequest()),
        (' \n{"key":"\\u0059Q=="}\n ', pb.RangeRequest(key=b"a")),
    ):
        assert read(pb.RangeRequest, text) == expected, text
    assert read(pb.MemberAddRequest, '{"peerURLs":[null]}') == pb.MemberAddRequest(peerURLs=[""])
    assert read(pb.TxnRequest, '{"success":[null]}') == pb.TxnRequest(success=[pb.RequestOp()])
    for text in ("[]", "null", '"x"', "5", '{"key":}', '{"a":1}{', '{"limit":NaN}', "\ufeff{}"):
        with pytest.raises(BadJson):
            read(pb.RangeRequest, text)
    for kind, text in (
        (pb.TxnRequest, '{"success":{}}'),
        (pb.TxnRequest, '{"success":[{"request_put":{},"request_range":{}}]}'),
        (pb.AuthRoleAddRequest, '{"name":5}'),
        (pb.AuthRoleAddRequest, '{"name":"\\ud800"}'),
        (pb.MemberRemoveRequest, '{"ID":-5}'),
        (pb.WatchRequest, '{"create_request":{"filters":["NOPE"]}}'),
    ):
        with pytest.raises(BadJson):
            read(kind, text)


def test_what_is_nested_too_deep_is_refused() -> None:
    for depth, is_good in ((DEPTH_MAX // 2 - 1, True), (DEPTH_MAX, False)):
        text = '{"success":[{"request_txn":' * depth + "{}" + "}]}" * depth
        if is_good:
            said = read(pb.TxnRequest, text).SerializeToString()
            assert pb.TxnRequest.FromString(said) == read(pb.TxnRequest, text)
        else:
            with pytest.raises(BadJson, match="at most"):
                read(pb.TxnRequest, text)


def test_a_message_of_many_fields_is_made_in_steps_that_are_bounded() -> None:
    """45,000 operations were one step of half a second."""
    operation = {"requestPut": {"key": A}}
    value = {
        "success": [operation] * 4000,
        "failure": [{"requestTxn": {"success": [operation] * 4000}}],
    }
    message = pb.TxnRequest()
    counts, _ = slices_of(fill(message, value))
    assert len(counts) > 8000 * 3 // FIELDS_A_STEP
    assert max(counts) < 40 * FIELDS_A_STEP
    assert message == build(pb.TxnRequest, value)
    assert len(message.failure[0].request_txn.success) == 4000


def test_fields_that_nobody_knows_are_passed_in_steps_that_are_bounded() -> None:
    """Those of one object, up to 80,000, were passed in one step."""
    value: dict[str, object] = {f"a{it}": it for it in range(2000)}
    message = pb.TxnRequest()
    counts, _ = slices_of(fill(message, value))
    assert len(counts) > 2000 // FIELDS_A_STEP
    assert max(counts) < 10 * FIELDS_A_STEP
    assert message == pb.TxnRequest()
