"""Rows of frames: what is legal in HTTP/2, and sent by nobody but to see what it costs."""

import random
import time
from collections.abc import Callable

from roost.proto import rpc_pb2
from roost.server.h2 import frames as f
from roost.testing.pressure.target import Caller, Target
from roost.testing.pressure.wire import Wire, drive, drive_sent, head_of, message, statuses

SMALL, LARGE = b"pressure-small", b"pressure-large"
# More than a connection's first window, so that its answer closes it.
LARGE_BYTES = f.WINDOW_DEFAULT + 5_000
HUFFMAN_BYTES_PER_S = 1_300_000
_BLOCK_BYTES = 8_000
_RANGE = head_of(b"/etcdserverpb.KV/Range")
_PUT = head_of(b"/etcdserverpb.KV/Put")
_GET_SMALL = rpc_pb2.RangeRequest(key=SMALL, serializable=True).SerializeToString()
# Rounds of gets without a window that grows: then it does not.
_QUIET_ROUNDS = 20
_UNFINISHED_CONNECTIONS = 4


def _put_both(target: Target) -> None:
    with Caller(target.leader) as caller:
        caller.fill(
            [
                rpc_pb2.PutRequest(key=SMALL, value=b"v" * 100),
                rpc_pb2.PutRequest(key=LARGE, value=b"v" * LARGE_BYTES),
            ]
        )
        caller.range(rpc_pb2.RangeRequest(key=SMALL))


def _tell_all(wire: Wire, stream_id: int, data: bytes, *, is_last: bool) -> None:
    """Send data as the windows let it out."""
    at = 0
    while at < len(data):
        drive([wire], lambda: wire.room_of(stream_id) > 0 or stream_id not in wire.rooms)
        if stream_id not in wire.rooms:
            return
        part = data[at : at + wire.room_of(stream_id)]
        at += len(part)
        wire.tell(stream_id, part, is_last=is_last and at == len(data))


def crumbs(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """A message of 2 MiB that ends in DATA frames of one byte."""
    sizes, wire = target.sizes, Wire(target.leader)
    value = b"v" * max(sizes.message_bytes, 2 * sizes.data_frames)
    put = rpc_pb2.PutRequest(key=b"pressure-crumbs", value=value)
    data = message(put.SerializeToString())
    begin()
    stream_id = wire.ask(_PUT, is_last=False)
    _tell_all(wire, stream_id, data[: -sizes.data_frames], is_last=False)
    for at in range(len(data) - sizes.data_frames, len(data)):
        if wire.room_of(stream_id) <= 0:
            drive([wire], lambda: wire.room_of(stream_id) > 0 or stream_id not in wire.rooms)
        if stream_id not in wire.rooms:
            break
        wire.tell(stream_id, data[at : at + 1], is_last=at == len(data) - 1)
    drive([wire], lambda: sum(wire.ended.values()) > 0)
    wire.close()
    # A member may take it or refuse it for its size: it only must be done with it.
    return {"ended": sum(wire.ended.values())}


def many_settings(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """SETTINGS of many entries, each of which moves the windows of many streams."""
    _put_both(target)
    sizes, wire = target.sizes, Wire(target.leader, stream_window=0)
    for _ in range(sizes.streams):
        wire.ask(_RANGE, _GET_SMALL)
    drive([wire], lambda: wire.headers_count + sum(wire.ended.values()) >= sizes.streams)
    entries = b"".join(
        f.SETTING.pack(f.INITIAL_WINDOW_SIZE, it & 1) for it in range(sizes.settings)
    )
    begin()
    wire.send(f.frame(f.SETTINGS, 0, 0, entries))
    drive_sent([wire])
    wire.close()
    return {"streams": wire.headers_count}


def many_windows(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Answers that the connection's window holds back, and the window opened byte by byte."""
    _put_both(target)
    sizes = target.sizes
    wire = Wire(target.leader, connection_window=f.WINDOW_DEFAULT)
    wire.ask(_RANGE, rpc_pb2.RangeRequest(key=LARGE, serializable=True).SerializeToString())
    drive([wire], lambda: wire.data_bytes >= f.WINDOW_DEFAULT)
    for _ in range(sizes.streams):
        wire.ask(_RANGE, _GET_SMALL)
    drive([wire], lambda: wire.headers_count > sizes.streams)
    begin()
    for _ in range(sizes.window_updates):
        wire.send(f.window_update(0, 1))
    drive_sent([wire])
    wire.close()
    return {"streams": wire.headers_count - 1}


def _huffman_field(dice: random.Random, byte_count: int) -> bytes:
    """A header field, not to be kept, whose value is Huffman-coded: digits and letters of 5 bits.

    RFC 7541 appendix B gives the codes 0 to 9 of five bits to `012aceiost`; eight of them are
    five bytes, so that nothing has to be padded.
    """
    value = b"".join(
        sum(dice.randrange(10) << 5 * it for it in range(8)).to_bytes(5, "big")
        for _ in range(byte_count // 5)
    )
    return b"\x00\x01x" + _huffman_length(len(value)) + value


def _huffman_length(count: int) -> bytes:
    """A string's length with its Huffman bit: an integer of a prefix of seven bits."""
    if count < 127:
        return bytes([0x80 | count])
    count -= 127
    said = bytearray([0xFF])
    while count >= 128:
        said.append(count & 127 | 128)
        count >>= 7
    said.append(count)
    return bytes(said)


def huffman(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Header blocks, each another one, at 1.3 MB a second."""
    _put_both(target)
    dice = random.Random(14)  # noqa: S311 - nothing secret
    blocks = [
        _RANGE + _huffman_field(dice, _BLOCK_BYTES)
        for _ in range(min(200, target.sizes.huffman_bytes // _BLOCK_BYTES + 1))
    ]
    # Not before: a member waits only so long for the first bytes of a connection.
    wire = Wire(target.leader)
    sent_bytes = count = 0
    begin()
    started_s = time.monotonic()
    while sent_bytes < target.sizes.huffman_bytes:
        due_s = started_s + sent_bytes / HUFFMAN_BYTES_PER_S
        drive([wire], lambda due_s=due_s: time.monotonic() >= due_s, look_s=0.005)  # type: ignore[misc] # bound now
        # A byte of its own makes it a block that was never seen.
        block = blocks[count % len(blocks)] + b"\x00\x01y\x08%08d" % count
        wire.ask(block, _GET_SMALL)
        sent_bytes += len(block)
        count += 1
    drive([wire], lambda: sum(wire.ended.values()) >= count)
    took_s = time.monotonic() - started_s
    wire.close()
    return {
        "bytes_per_s": round(sent_bytes / took_s),
        "failed": count - wire.ended.get("0", 0),
    }


def unfinished(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Requests of almost 2 MiB each that do not end, as much of them as the windows let out."""
    _put_both(target)
    sizes = target.sizes
    wires = [Wire(target.leader) for _ in range(_UNFINISHED_CONNECTIONS)]
    data = message(bytes(sizes.message_bytes))[:-1]
    begin()
    drive_sent(wires)
    sent: dict[int, dict[int, int]] = {
        at: {wire.ask(_PUT, is_last=False): 0 for _ in range(-(-sizes.unfinished // len(wires)))}
        for at, wire in enumerate(wires)
    }
    quiet = rounds = 0
    while quiet < _QUIET_ROUNDS:
        moved = 0
        for at, wire in enumerate(wires):
            for stream_id, done in sent[at].items():
                part = data[done : done + max(0, wire.room_of(stream_id))]
                if part and stream_id in wire.rooms:
                    wire.tell(stream_id, part)
                    sent[at][stream_id] = done + len(part)
                    moved += len(part)
        # Not by PING, of which etcd suffers only a few.
        for wire in wires:
            wire.ask(_RANGE, _GET_SMALL)
        rounds += 1
        drive(wires, lambda n=rounds: all(it.ended.get("0", 0) >= n for it in wires))  # type: ignore[misc] # bound now
        quiet = 0 if moved else quiet + 1
    total = sum(sum(it.values()) for it in sent.values())
    ended = sum(statuses(wires).values()) - rounds * len(wires)
    for wire in wires:
        wire.close()
    return {"sent_mib": round(total / (1 << 20)), "ended": ended}


def header_blocks(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Connections on each of which many header blocks are sent that differ."""
    _put_both(target)
    sizes = target.sizes
    wires = [Wire(target.leader) for _ in range(sizes.header_connections)]
    begin()
    for number in range(sizes.header_blocks):
        for at, wire in enumerate(wires):
            value = b"%08d%08d" % (at, number) + b"v" * 4000
            field = b"\x00\x01x\x7f" + _plain_rest(len(value)) + value
            wire.ask(_RANGE + field, _GET_SMALL)
        drive(wires, lambda n=number: all(sum(it.ended.values()) > n for it in wires))  # type: ignore[misc] # bound now
    failed = sum(statuses(wires).values()) - statuses(wires).get("0", 0)
    drive_sent(wires)
    for wire in wires:
        wire.close()
    return {"failed": failed}


def _plain_rest(count: int) -> bytes:
    """What follows 0x7f in the length of a plain string of so many bytes."""
    return _huffman_length(count)[1:]
