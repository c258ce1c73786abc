"""Prometheus' interfaces of one member: which request is answered by whom, and who may ask.

Whoever writes needs the right to write series, and whoever reads or asks the right to read them;
a refusal is told in the form that each client reads.
"""

from collections.abc import Awaitable, Callable

from roost.call import Caller
from roost.errors import RoostError
from roost.exchange import Answer, Request, Streaming, not_allowed
from roost.series.engine import Engine
from roost.series.intake import Intake
from roost.series.prometheus.answers import failure
from roost.series.prometheus.api import Api
from roost.series.prometheus.remote_read import RemoteRead
from roost.series.prometheus.remote_write import RemoteWrite, refusal

Admit = Callable[[Caller, bool], Awaitable[None]]


class Prometheus:
    """What answers below `/api/v1/`."""

    def __init__(self, engine: Engine, intake: Intake) -> None:
        """Stand on both."""
        self._api = Api(engine)
        self._write = RemoteWrite(engine, intake)
        self._read = RemoteRead(engine)

    async def answer(self, request: Request, path: str, admit: Admit) -> Answer | Streaming:
        """Answer a request to a path behind `/api/v1/`."""
        if path in ("write", "read") and request.method != "POST":
            return not_allowed("POST")
        try:
            await admit(request.caller, path == "write")
        except RoostError as error:
            return refusal(error) if path == "write" else failure(error)
        if path == "write":
            return await self._write.answer(request)
        if path == "read":
            return await self._read.answer(request)
        return await self._api.answer(request, path)

    def counts(self) -> dict[str, int]:
        """What was done, for figures."""
        return {
            "samples": self._write.sample_count,
            "samples_refused": self._write.refused_count,
            "descriptions_left_out": self._write.undescribed_count,
            "queries": self._api.query_count,
            "queries_failed": self._api.failed_count,
            "queries_waiting": self._api.waiting_count,
        }
