"""What a member keeps, over HTTP; who asks is root, which `interface` has seen to."""

import msgspec

from roost.dashboard import endpoints
from roost.dashboard.pages import DATA_GUARDS
from roost.dashboard.ports import Answering
from roost.dashboard.storing import (
    LIMIT,
    BackupNamed,
    Backups,
    BadQuestion,
    File,
    RowsWanted,
    Storage,
    asked,
    key_of,
)
from roost.endpoint import Endpoint
from roost.errors import UNDECODABLE
from roost.exchange import Answer, Request, Streaming

_BINARY = (b"content-type", b"application/octet-stream")


class StorePages:
    """Answers what is asked of a member's store and backups."""

    def __init__(self, storage: Storage, backups: Backups) -> None:
        """Ask these."""
        self._storage = storage
        self._backups = backups
        self.answers: dict[Endpoint, Answering] = {
            endpoints.STORAGE: self._state,
            endpoints.TREES: self._trees,
            endpoints.TREE_ROWS: self._rows,
            endpoints.TREE_ROWS_FROM: self._rows_from,
            endpoints.TREE_COUNTS: self._counts,
            endpoints.BACKUPS: self._kept,
            endpoints.SAVE_BACKUP: self._save,
            endpoints.BACKUP_JOB: self._job,
            endpoints.VERIFY_BACKUP: self._verify,
            endpoints.BACKUP_FILE: self._file,
            endpoints.BACKUP_NOW: self._whole,
        }

    async def _state(self, _request: Request) -> Answer:
        return endpoints.said(self._storage.state())

    async def _trees(self, request: Request) -> Answer:
        wanted = asked(request)
        return endpoints.said(
            self._storage.trees(wanted.text("after"), wanted.count("limit", LIMIT))
        )

    async def _rows(self, request: Request) -> Answer:
        wanted = asked(request)
        found = self._storage.rows(
            wanted.text("tree"), wanted.key("from"), wanted.count("limit", LIMIT)
        )
        return endpoints.said(found)

    async def _rows_from(self, request: Request) -> Answer:
        try:
            wanted = msgspec.json.decode(request.body, type=RowsWanted)
        except UNDECODABLE as error:
            raise BadQuestion(f'{{"tree", "from", "limit"}} is wanted: {error}') from error
        first = key_of("from", wanted.first)
        return endpoints.said(self._storage.rows(wanted.tree, first, wanted.limit))

    async def _counts(self, _request: Request) -> Answer:
        return endpoints.said(await self._storage.count())

    async def _kept(self, _request: Request) -> Answer:
        return endpoints.said(await self._backups.look())

    async def _job(self, _request: Request) -> Answer:
        return endpoints.said(self._backups.job())

    async def _save(self, _request: Request) -> Answer:
        return endpoints.said(self._backups.begin_save())

    async def _verify(self, request: Request) -> Answer:
        try:
            wanted = msgspec.json.decode(request.body, type=BackupNamed)
        except UNDECODABLE as error:
            raise BadQuestion(f'{{"name"}} is wanted: {error}') from error
        return endpoints.said(self._backups.begin_verify(wanted.name))

    async def _file(self, request: Request) -> Streaming:
        return _sent(await self._backups.kept(asked(request).text("name")))

    async def _whole(self, _request: Request) -> Streaming:
        return _sent(await self._backups.whole())


def _sent(file: File) -> Streaming:
    # Of a name only what needs no quoting: it is a member's, whom somebody has called something.
    name = "".join(
        it if it.isascii() and (it.isalnum() or it in "-._") else "_" for it in file.name
    )
    headers = (
        _BINARY,
        (b"content-length", b"%d" % file.size_bytes),
        (b"content-disposition", b'attachment; filename="%b"' % name.encode()),
        *DATA_GUARDS,
    )
    return Streaming(headers, file.pieces, file.close)
