"""Answers of many parts: they are broken off when nothing comes."""

from collections.abc import Iterator

import pytest

from roost.client import ClientError, Unreachable
from roost.proto import rpc_pb2 as pb
from tests.client.fakes import (
    GONE,
    SNAPSHOT,
    Context,
    Fake,
    asking_in_order,
    failing,
    saying,
    silent,
)


def test_a_file_that_breaks_is_asked_of_the_next_endpoint() -> None:
    piece = pb.SnapshotResponse(blob=b"piece")
    with (
        Fake({SNAPSHOT: failing(GONE, "Socket closed")}) as gone,
        Fake({SNAPSHOT: failing(GONE, "Socket closed", piece)}) as broken,
        Fake({SNAPSHOT: saying(piece, piece)}) as well,
        asking_in_order([it.endpoint for it in (gone, broken, well)]) as client,
    ):
        blobs = client.snapshot()
        assert next(blobs) == b"piece"
        with pytest.raises(ClientError, match="Socket closed"):
            next(blobs)
        assert list(client.snapshot()) == [b"piece", b"piece"]
        assert [it.count(SNAPSHOT) for it in (gone, broken, well)] == [1, 1, 1]


def test_a_file_that_stands_still_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.client.aio.maintenance._SILENCE_S", 0.1)

    def script(request: bytes, context: Context) -> Iterator[bytes]:
        yield from saying(pb.SnapshotResponse(blob=b"piece"))(request, context)
        yield from silent(request, context)

    with Fake({SNAPSHOT: script}) as fake, asking_in_order(fake.endpoint) as client:
        blobs = client.snapshot()
        assert next(blobs) == b"piece"
        with pytest.raises(Unreachable, match="says nothing"):
            next(blobs)
