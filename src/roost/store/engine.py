"""What a keeper does, wherever it runs: merge payloads, commit them, copy what is there.

What was merged and not flushed is nowhere but here, and lost with the keeper: the journal has it.
A digest of the state is due at every `digest_entries`th log position, whatever is flushed when, so
that members can compare theirs; what was merged is committed there, because only LMDB's own
records are counted.
"""

from collections.abc import Callable
from pathlib import Path

from roost.directories import sync_directory
from roost.store.base_writer import BaseWriter
from roost.store.digest import DIGEST_ENTRIES
from roost.store.layer import MISSING, Layer
from roost.store.long_write import Assembly, is_effect
from roost.store.snapshot import make_copy


class Engine:
    """What a keeper does, without the process: merge payloads, commit, answer."""

    def __init__(
        self,
        directory: Path,
        *,
        is_synced: bool = True,
        digest_entries: int = DIGEST_ENTRIES,
    ) -> None:
        """Open the environment for writing."""
        self._is_synced = is_synced
        self.writer = BaseWriter(directory, is_synced=is_synced)
        self._layer = Layer()
        self._digest_entries = digest_entries
        # What was merged last, and the digest of the state at log position `_point`, once known.
        self._last = self.writer.applied()
        self._point = self._next_point(self._last[0] + 1)
        self.on_digest: Callable[[int, bytes], None] = lambda _index, _digest: None

    def hear_progress(self, on_progress: Callable[[], None]) -> None:
        """Have this called now and then, as something gets on that takes its time."""
        self.writer.on_progress = on_progress

    def _next_point(self, index: int) -> int:
        """The first position from `index` on whose digest is compared."""
        return -(-index // self._digest_entries) * self._digest_entries

    def is_past_point(self, index: int) -> bool:
        """Whether position `index` lies behind the next point of comparison."""
        return index > self._point

    def add(self, index: int, term: int, payload: bytes) -> None:
        """Merge one payload; what lies before a point of comparison is committed by itself."""
        if index > self._point:
            total = self.writer.commit(self._layer, *self._last)
            self._layer = Layer()
            self.on_digest(self._point, total)
            self._point = self._next_point(index)
        if is_effect(payload):
            self._take_effect(payload)
        else:
            self._layer.carry_out(payload)
        self._last = index, term

    def _take_effect(self, payload: bytes) -> None:
        """Merge what the parts of a long write come to; they were merged before, or written."""
        assembly = Assembly(payload, self._get)
        while not assembly.go_on():
            self.writer.on_progress()
        if assembly.fault is not None:
            raise assembly.fault  # what changes nothing is not handed over
        self._layer.cover(assembly.layer)

    def _get(self, tree_id: int, key: bytes) -> bytes | None:
        tree = self._layer.trees.get(tree_id)
        found = MISSING if tree is None else tree.get(key)
        return self.writer.get(tree_id, key) if found is MISSING else found

    def flush(self, index: int, term: int) -> None:
        """Make everything merged so far durable, with the index in the same transaction."""
        is_past = index >= self._point
        total = self.writer.commit(self._layer, index, term)
        self._layer = Layer()
        self._last = index, term
        if is_past:
            self.on_digest(self._point, total)
            self._point = self._next_point(index + 1)

    def move(self, directory: Path) -> tuple[int, int]:
        """Copy the environment, compacted, and go on with the copy; return what it holds."""
        directory.mkdir(mode=0o700)
        make_copy(directory / "data.mdb", self.writer.copy_to)
        sync_directory(directory)
        sync_directory(directory.parent)
        self.writer.close()
        on_progress = self.writer.on_progress
        self.writer = BaseWriter(directory, is_synced=self._is_synced)
        self.writer.on_progress = on_progress
        return self.writer.applied()

    def close(self) -> None:
        """Close the environment."""
        self.writer.close()
