"""Rows of trees as lists: what nearly every write set is carried as.

A batch of puts writes the same few trees again and again.  A record of kind `PUTS` (`write_set`)
has for each tree all keys that were written and all values, so that MessagePack takes and gives
the lists in one call, and who applies it updates a dictionary a tree.  Its value is an array of
runs, and each run an array of

    u16 tree id
    array of keys, each a bin
    array of values, one a key: a bin, what the key is set to; or nil, it goes away
      nil in the place of the array: all values are those of the run before
    true, where a nil among the values is the value in the same place of the run before;
      else left out

Rows of a run are in the order in which they were written, and may name a key more than once; a
run that follows another was written after it, as far as anybody can tell.
"""

from collections.abc import Sequence

import msgspec

from roost.errors import UNDECODABLE
from roost.store.errors import MalformedWriteSet
from roost.store.rows import Puts, Values
from roost.store.runs import Run

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Run])


def repeats(these: Puts, before: Puts) -> bool:
    """Whether values that are the same as those of the rows before can be left out."""
    mine, theirs = these.values, before.values
    return mine == theirs or (len(mine) == len(theirs) and None not in mine)


def encode_puts(all_puts: Sequence[Puts]) -> bytes:
    """The rows as a record carries them."""
    runs: list[list[object]] = []
    before = Puts(0, [], [])
    for it in all_puts:
        run: list[object] = [it.tree_id, it.keys, it.values]
        if it.is_shared and repeats(it, before):
            if it.values == before.values:
                run[2] = None
            else:
                pairs = zip(it.values, before.values, strict=True)
                run[2] = [None if mine is theirs else mine for mine, theirs in pairs]
                run.append(True)
        runs.append(run)
        before = it
    return _encoder.encode(runs)


def decode_puts(data: bytes) -> list[Run]:
    """The rows that a record carries, none of which has its values elsewhere.

    Raises:
        MalformedWriteSet: the bytes do not follow the format.

    """
    try:
        runs = _decoder.decode(data)
    except UNDECODABLE as error:
        raise MalformedWriteSet(f"rows are malformed: {error}") from error
    before: Values = []
    for position, run in enumerate(runs):
        values = run.values
        if values is None or run.fills:
            values = _filled(run, before)
            runs[position] = Run(run.tree_id, run.keys, values)
        if len(values) != len(run.keys):
            raise MalformedWriteSet(f"{len(run.keys)} keys have {len(values)} values")
        before = values
    return runs


def _filled(run: Run, before: Values) -> Values:
    """The values of a run that has all or some of them from the one before."""
    values = run.values
    if values is None:
        return before
    if len(values) != len(before):
        raise MalformedWriteSet(f"{len(values)} values are filled from {len(before)}")
    pairs = zip(values, before, strict=True)
    return [theirs if mine is None else mine for mine, theirs in pairs]
