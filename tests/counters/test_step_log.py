"""The log of small steps: what was appended is read, what is torn is cut, damage is said."""

from pathlib import Path

import pytest

from roost.counters.errors import CounterStoreCorrupt
from roost.counters.step_log import FIRST, HEAD_BYTES, NAME, StepLog, frame_of, read_frame

IDENTITY, OTHER = b"12345678", b"87654321"
PAYLOADS = [b"one", b"", b"3" * 700, b"four"]


def make(directory: Path, size: int = 4096) -> StepLog:
    return StepLog.make(directory, IDENTITY, size)


def written(directory: Path, payloads: list[bytes], first: int = 1) -> StepLog:
    log = make(directory)
    for number, it in enumerate(payloads, first):
        log.append(number, it)
    return log


def read(directory: Path, number: int = 0) -> list[bytes]:
    log = StepLog.open(directory, IDENTITY)
    try:
        return [it.payload for it in log.frames(number)]
    finally:
        log.close()


def test_what_was_appended_is_read_in_order_from_any_number_on(tmp_path: Path) -> None:
    written(tmp_path, PAYLOADS).close()
    assert read(tmp_path) == PAYLOADS
    # The file begins behind what is elsewhere: its first frame has to be the next one.
    assert read(tmp_path, 4) == []
    assert (tmp_path / NAME).stat().st_size == 4096


def test_what_is_elsewhere_is_written_over_and_older_frames_count_for_nothing(
    tmp_path: Path,
) -> None:
    log = written(tmp_path, PAYLOADS)
    log.begin_again(5)
    log.append(6, b"six")
    log.close()
    assert read(tmp_path, 5) == [b"six"]
    assert read(tmp_path, 6) == []


def test_a_log_knows_when_it_is_full(tmp_path: Path) -> None:
    log = make(tmp_path, 256)
    number = 0
    while log.has_room(40):
        number += 1
        log.append(number, bytes(40))
    log.close()
    assert number == (256 - FIRST - 8) // (HEAD_BYTES + 40)
    assert len(read(tmp_path)) == number


@pytest.mark.parametrize("keeps", range(0, HEAD_BYTES + 24, 4))
def test_a_torn_last_frame_is_cut(tmp_path: Path, keeps: int) -> None:
    written(tmp_path, [*PAYLOADS, b"the last one"]).close()
    path = tmp_path / NAME
    data = path.read_bytes()
    begin = data.index(b"the last one") - HEAD_BYTES
    torn = data[: begin + keeps] + bytes(len(data) - begin - keeps)
    path.write_bytes(torn)
    assert read(tmp_path) == PAYLOADS + [b"the last one"] * (keeps >= HEAD_BYTES + 12)


def test_a_damaged_frame_with_a_newer_one_behind_it_is_said(tmp_path: Path) -> None:
    written(tmp_path, PAYLOADS).close()
    path = tmp_path / NAME
    data = path.read_bytes()
    last = data.index(b"four") - HEAD_BYTES
    for at in range(FIRST, last, 7):
        if read_frame(data, at - at % 8, 0) is None and not data[at]:
            continue  # what fills a frame up to a multiple of 8 says nothing
        path.write_bytes(data[:at] + bytes([data[at] ^ 64]) + data[at + 1 :])
        with pytest.raises(CounterStoreCorrupt, match="is damaged"):
            read(tmp_path)


def test_a_file_that_is_not_the_one_made_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CounterStoreCorrupt, match="is missing"):
        read(tmp_path)
    written(tmp_path, PAYLOADS).close()
    with pytest.raises(CounterStoreCorrupt, match="not the one"):
        StepLog.open(tmp_path, OTHER)
    path = tmp_path / NAME
    data = path.read_bytes()
    for cut in (b"", data[:20], data[:-1], data + b"\0"):
        path.write_bytes(cut)
        with pytest.raises(CounterStoreCorrupt, match="not the one"):
            read(tmp_path)


def test_a_frame_of_another_file_is_none() -> None:
    frame = frame_of(1, 7, b"payload")
    assert read_frame(frame, 0, 2) is None
    found = read_frame(frame, 0, 1)
    assert found is not None
    assert (found.number, found.payload, found.end) == (7, b"payload", len(frame))
