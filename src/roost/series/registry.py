"""What runs where the cluster leads for names: series declared, tagged and deleted.

A declaration that is there already changes nothing, so it can be repeated.
"""

from collections.abc import Iterable

import msgspec

from roost.database import Refused, Transaction
from roost.series.effects import Deletion, Thinning
from roost.series.errors import (
    BAD_RECORD,
    BAD_SERIES,
    NO_SERIES,
    BadSeries,
    SeriesDamaged,
)
from roost.series.head import Head, read_head, sid_key, write_head
from roost.series.levels import SID_MAX
from roost.series.names import (
    INFO_TREE,
    NAMES_TREE,
    TAGS_TREE,
    Info,
    Tag,
    check_name,
    decode_info,
    labels,
    tag_key,
    with_bit,
)
from roost.series.records import decode, encode_deletions, encode_thinnings
from roost.series.staging import stage
from roost.series.tables import TIME_MIN, TIME_STOP

# Series that one operation declares: a millisecond or two.
DECLARED_MAX = 64


class Declared(msgspec.Struct, frozen=True, array_like=True):
    """Numbers of series, good as long as the epoch is."""

    epoch: int
    sids: list[int]


def declare(txn: Transaction, given: list[Info]) -> Declared:
    """The numbers of series, which are made when they are not there.

    Raises:
        Refused: BAD_SERIES, one is none; too many at once, or there is no number any more.

    """
    head = read_head(txn)
    if len(given) > DECLARED_MAX or head.next_sid + len(given) > SID_MAX:
        raise Refused(f"{len(given)} series at once; {DECLARED_MAX} can be declared")
    names, infos, begun = txn.tree(NAMES_TREE), txn.tree(INFO_TREE), head.next_sid
    next_sid, sids = begun, []
    for it in given:
        _check(it)
        key = it.key
        held = names.get(key)
        if held is None:
            held, next_sid = sid_key(next_sid), next_sid + 1
            names[key] = held
            infos[held] = msgspec.msgpack.encode(it)
            _index(txn, int.from_bytes(held, "big"), it.found_by, is_set=True)
        sids.append(int.from_bytes(held, "big"))
    if next_sid != begun:
        write_head(txn, msgspec.structs.replace(head, next_sid=next_sid))
    return Declared(head.epoch, sids)


def tag(txn: Transaction, key: bytes, added: list[Tag], removed: list[Tag]) -> Info:
    """Put tags on a series, and take tags away; what it is then.  One key has one value.

    Raises:
        Refused: NO_SERIES; BAD_SERIES, a tag is none, or there would be too many.

    """
    sid = _sid(txn, key)
    infos = txn.tree(INFO_TREE)
    info = decode_info(infos[sid_key(sid)])
    fresh = {it.key for it in added}
    kept = [it for it in info.tags if it.key not in fresh and it not in removed]
    try:
        after = msgspec.structs.replace(info, tags=labels([*kept, *added]))
    except BadSeries as error:
        raise Refused(str(error), code=BAD_SERIES) from error
    _index(txn, sid, info.found_by - after.found_by, is_set=False)
    _index(txn, sid, after.found_by - info.found_by, is_set=True)
    infos[sid_key(sid)] = msgspec.msgpack.encode(after)
    return after


def dedup(txn: Transaction, given: Info) -> Info:
    """Of two points of one time have the higher or the later count, as `given` says; what it is.

    The series is made when it is not there.  What is sealed already stays as it came out.

    Raises:
        Refused: BAD_SERIES, it is none.

    """
    (sid,) = declare(txn, [given]).sids
    infos = txn.tree(INFO_TREE)
    held = decode_info(infos[sid_key(sid)])
    after = msgspec.structs.replace(held, keeps_highest=given.keeps_highest)
    if after != held:
        infos[sid_key(sid)] = msgspec.msgpack.encode(after)
    return after


def delete_points(txn: Transaction, sids: list[int], start: int, stop: int) -> int:
    """Delete a range of series; nobody sees it from now on.  The number of the record.

    Raises:
        Refused: STAGING_FULL; BAD_RECORD, as `delete_many`.

    """
    return delete_many(txn, [Deletion(it, start, stop) for it in sids])


def delete_many(txn: Transaction, given: list[Deletion]) -> int:
    """Delete a range each of series; as `delete_points`.

    Raises:
        Refused: STAGING_FULL; BAD_RECORD, they are too many, or one is none.

    """
    return _stage(txn, encode_deletions(given))


def thin(txn: Transaction, given: list[Thinning]) -> int:
    """Drop the points of series before a horizon each, and keep their sums; as `delete_points`.

    Raises:
        Refused: STAGING_FULL; BAD_RECORD, they are too many, or a horizon is no day's beginning.

    """
    return _stage(txn, encode_thinnings(given))


def _stage(txn: Transaction, record: bytes) -> int:
    try:
        decode(record)
    except SeriesDamaged as error:
        raise Refused(str(error), code=BAD_RECORD) from error
    return stage(txn, read_head(txn), record, 0)


def delete_series(txn: Transaction, key: bytes) -> None:
    """Delete a series with all that it has; a series of this name is another one from now on.

    Raises:
        Refused: there is none; STAGING_FULL.

    """
    sid = _sid(txn, key)
    info = decode_info(txn.tree(INFO_TREE)[sid_key(sid)])
    _index(txn, sid, info.found_by, is_set=False)
    txn.tree(INFO_TREE).discard(sid_key(sid))
    txn.tree(NAMES_TREE).discard(key)
    delete_points(txn, [sid], TIME_MIN, TIME_STOP)
    head: Head = read_head(txn)
    write_head(txn, msgspec.structs.replace(head, epoch=head.epoch + 1))


def _check(info: Info) -> None:
    try:
        check_name(info.name)
        is_ordered = labels(info.labels) == info.labels and labels(info.tags) == info.tags
    except BadSeries as error:
        raise Refused(str(error), code=BAD_SERIES) from error
    if not is_ordered:
        raise Refused(f"tags of {info.name!r} are not in order", code=BAD_SERIES)


def _sid(txn: Transaction, key: bytes) -> int:
    held = txn.tree(NAMES_TREE).get(key)
    if held is None:
        raise Refused("there is no such series", code=NO_SERIES)
    return int.from_bytes(held, "big")


def _index(txn: Transaction, sid: int, tags: Iterable[Tag], *, is_set: bool) -> None:
    tree = txn.tree(TAGS_TREE)
    for it in sorted(tags):
        key = tag_key(it, sid)
        row = with_bit(tree.get(key), sid, is_set=is_set)
        if row is None:
            tree.discard(key)
        else:
            tree[key] = row
