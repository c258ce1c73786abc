"""A member's trees and state, as the dashboard asks for them."""

from collections.abc import Callable

import msgspec

from roost.children import Ended, run_module
from roost.dashboard.storing import (
    Counts,
    Derived,
    RowPage,
    Scrub,
    StorageState,
    Tree,
    TreeCount,
    TreePage,
    TreeRow,
    Work,
)
from roost.database.catalogue import NAMES_MAX, names_from, page_from
from roost.database.counting import CountedTrees
from roost.database.embedded import Embedded
from roost.errors import Overloaded, RoostError
from roost.etcd import Removal

COUNTING = "roost.database.counting"


class CountingFailed(RoostError):
    """The trees could not be counted; the text says why."""


class MemberStorage:
    """One member's."""

    def __init__(self, embedded: Embedded, removal: Callable[[], Removal | None]) -> None:
        """Nothing is counted; `removal()` is how far what was compacted is removed."""
        self._embedded = embedded
        self._removal = removal
        self._is_counting = False

    def state(self) -> StorageState:
        """What it says of itself now."""
        member = self._embedded.member
        scrub = member.custody.last_scrub
        return StorageState(
            applied_index=member.store.applied_index,
            digest=member.files.state_digest().hex(),
            corrupt=[f"{it:x}" for it in sorted(member.space().corrupt_members)],
            scrub=None
            if scrub is None
            else Scrub(
                record_count=scrub.record_count,
                index=scrub.index,
                took_s=scrub.took_s,
                fault=scrub.fault,
            ),
            derived=[
                Derived(
                    name=it.name,
                    source=it.source,
                    version=it.version,
                    share=it.share,
                    waiting_count=it.waiting_count + it.range_count,
                    error=it.error,
                )
                for it in self._embedded.deriving.statuses()
            ],
            works=self._works(),
        )

    def _works(self) -> list[Work]:
        """What takes long, and how far it is."""
        found = []
        if (rewriting := self._embedded.member.files.defragmentation()) is not None:
            written, total = rewriting.written_bytes, rewriting.total_bytes
            found.append(
                Work(
                    kind="defragmentation",
                    phase="writing the new file" if written else "writing what was applied",
                    share=min(1.0, written / max(1, total)),
                    done_count=written,
                    unit="bytes",
                    seconds=rewriting.seconds,
                )
            )
        if (removal := self._removal()) is not None:
            found.append(
                Work(
                    kind="compaction",
                    phase="removing what nobody can see any more",
                    share=removal.share,
                    done_count=removal.removed_count,
                    unit="revisions",
                    seconds=removal.seconds,
                )
            )
        return found

    def trees(self, after: str, limit: int) -> TreePage:
        """Trees by name, behind a name."""
        limit = min(limit, NAMES_MAX)
        found = names_from(self._embedded.member.view, after, limit)
        return TreePage(
            trees=[
                Tree(name=it.name, keys=it.keys, values=it.values, purpose=it.purpose)
                for it in found
            ],
            after=found[-1].name if len(found) == limit else "",
        )

    def rows(self, tree: str, first: bytes, limit: int) -> RowPage:
        """A page of a tree, from a key on.

        Raises:
            UnknownTree: there is none of that name.

        """
        found = page_from(self._embedded.member.view, tree, first, limit)
        return RowPage(
            tree=tree,
            rows=[
                TreeRow(
                    key=it.key,
                    value=it.value,
                    key_bytes=it.key_bytes,
                    value_bytes=it.value_bytes,
                )
                for it in found.rows
            ],
            rest="" if found.rest is None else found.rest.hex(),
        )

    async def count(self) -> Counts:
        """Have a process walk over everything; there is one at a time.

        Raises:
            Overloaded: somebody has it counted already.
            CountingFailed: it could not be read.

        """
        if self._is_counting:
            raise Overloaded("the trees are being counted for somebody: wait until that is done")
        self._is_counting = True
        try:
            data_dir = self._embedded.member.config.data_dir
            return counts_of(await run_module(COUNTING, str(data_dir.absolute())))
        except OSError as error:
            raise CountingFailed(f"no process could be started: {error}") from error
        finally:
            self._is_counting = False


def counts_of(ended: Ended) -> Counts:
    """What the process has said.

    Raises:
        CountingFailed: it could not count.

    """
    if ended.code:
        raise CountingFailed(f"the process that counts ended with {ended.code}")
    counted = msgspec.json.decode(ended.said, type=CountedTrees)
    if counted.fault:
        raise CountingFailed(counted.fault)
    return Counts(
        index=counted.index,
        trees=[
            TreeCount(
                name=it.name,
                key_count=it.key_count,
                content_bytes=it.content_bytes,
                page_count=it.page_count,
                purpose=it.purpose,
            )
            for it in counted.trees
        ],
    )
