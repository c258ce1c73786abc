"""Which series a question is about: by their names, with the labels that it says, and by tags."""

from collections.abc import AsyncGenerator, Sequence

from roost.series.errors import BadWindow
from roost.series.names import Info, Tag
from roost.series.reading import Reading
from roost.series.spelling import parse_series

SERIES_MAX = 10_000
# Series that a label leaves, which are looked at one by one and not by the name.
LOOKED_AT_MAX = 256


async def select(
    reading: Reading, names: Sequence[str], tags: Sequence[Tag], *, most: int | None = None
) -> AsyncGenerator[int, None]:
    """The numbers of the series that are asked for, each once.

    Raises:
        BadSeries: a name is none.
        BadWindow: they are more than `most`, or else than SERIES_MAX.

    """
    most = SERIES_MAX if most is None else most
    wanted = await tagged(reading, tags) if tags else None
    if not names and len(wanted or ()) > most:
        raise BadWindow(f"more than {most} series: ask for fewer")
    chosen: list[int] = [] if names else sorted(wanted or ())
    for text in names:
        chosen += await _named(reading, parse_series(text), wanted, most)
        if len(chosen) > most:
            break
    if len(chosen) > most:
        raise BadWindow(f"more than {most} series: ask for fewer")
    for sid in dict.fromkeys(chosen):
        yield sid


async def tagged(reading: Reading, given: Sequence[Tag]) -> set[int]:
    """Series that have all of some tags or labels."""
    found: set[int] | None = None
    for it in given:
        before = found
        # What two large sets have in common takes longer than a turn has, if it is asked at once.
        found = {
            sid
            async for page in reading.tagged(it)
            for sid in page
            if before is None or sid in before
        }
    return found or set()


async def _named(reading: Reading, asked: Info, wanted: set[int] | None, most: int) -> list[int]:
    """Series of a name that have all labels that were asked for; as far as they are wanted.

    In the order of their keys.  Of ten thousand of a name few have a label, as a rule: whoever asks
    for one does not read them all (100 ms a question, 2026-11-27).
    """
    if asked.labels:
        held = await tagged(reading, asked.labels)
        wanted = held if wanted is None else wanted & held
        if len(wanted) <= LOOKED_AT_MAX:
            infos = [(sid, await reading.trees.read_info(sid)) for sid in wanted]
            keys = [(it.key, sid) for sid, it in infos if it is not None and _is_of(it, asked)]
            return [sid for _, sid in sorted(keys)]
    found: list[int] = []
    async for page in reading.named(asked.name):
        for sid in page:
            if wanted is not None and sid not in wanted:
                continue
            info = await reading.trees.read_info(sid) if asked.labels else asked
            if info is not None and _is_of(info, asked):
                found.append(sid)
        if len(found) > most:
            break
    return found


def _is_of(info: Info, asked: Info) -> bool:
    """Whether a series has the name and the labels; what it was found by may be a tag."""
    return info.name == asked.name and set(asked.labels) <= set(info.labels)
