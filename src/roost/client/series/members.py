"""Requests about series to the members of a cluster: who is asked, and what an answer means.

A whole request goes to the next endpoint when nobody answers at one: all of them can be made twice
(the same points are the same points, what is deleted stays so).  A user's token is got once, from
whoever answers, and anew when it is no longer believed.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec

from roost.client.credentials import Credentials
from roost.client.endpoints import parse_endpoints
from roost.client.errors import OutcomeUnknown, Unreachable
from roost.client.series.answers import Answer, answer_of
from roost.client.series.errors import SeriesRefused
from roost.client.series.points import COLUMNS
from roost.client.series.questions import Asked
from roost.client.series.wire import Exchange, begin

_UNAUTHORIZED = 401
# What a member says of itself or of the moment: it stops, has no leader, or too much to do.
_NOT_NOW = (429, 503)


class Members:
    """The members of one cluster."""

    def __init__(
        self, endpoints: str | Sequence[str], *, credentials: Credentials, timeout_s: float
    ) -> None:
        """Nobody is asked yet.

        Raises:
            BadEndpoint: there is none that anybody could be reached by.
            BadCertificate, OSError: a file cannot be used.

        """
        self._endpoints = parse_endpoints(endpoints)
        self._credentials = credentials
        self.timeout_s = timeout_s
        self._token = ""
        self._tls = self._context()

    def _context(self) -> ssl.SSLContext | None:
        held = self._credentials
        if not (held.ca_file or held.cert_file or any(it.is_secure for it in self._endpoints)):
            return None
        from roost.tls import TlsFiles, client_context

        return client_context(
            TlsFiles(cert_file=held.cert_file, key_file=held.key_file, ca_file=held.ca_file)
        )

    async def open(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Exchange:
        """Begin a request at whoever takes it.

        Raises:
            Unreachable: nobody does.

        """
        reasons = []
        if self._credentials.user and not self._token:
            await self._log_in()
        said = {**headers, "authorization": f"Bearer {self._token}"} if self._token else headers
        for _ in range(len(self._endpoints)):
            endpoint = self._endpoints[0]
            try:
                return await begin(
                    endpoint, method, target, headers=said, tls=self._tls, body=body,
                    timeout_s=self.timeout_s,
                )  # fmt: skip
            except (OSError, TimeoutError) as error:
                reasons.append(f"{endpoint.name}: {error or type(error).__name__}")
                self.leave()
        raise Unreachable("UNAVAILABLE", "; ".join(reasons))

    async def stream(self) -> Exchange:
        """Begin a request of points at whoever takes it; its body comes later.

        Raises:
            Unreachable: nobody does.

        """
        return await self.open("POST", "/series/append", COLUMNS, None)

    def leave(self) -> None:
        """Ask the next one first."""
        self._endpoints.append(self._endpoints.pop(0))

    async def _log_in(self) -> None:
        held = self._credentials
        form = msgspec.json.encode({"name": held.user, "password": held.password})
        for _ in range(len(self._endpoints)):
            endpoint = self._endpoints[0]
            try:
                exchange = await begin(
                    endpoint, "POST", "/v3/auth/authenticate", headers={}, tls=self._tls,
                    body=form, timeout_s=self.timeout_s,
                )  # fmt: skip
                try:
                    body = await exchange.body()
                finally:
                    exchange.close()
            except (OSError, TimeoutError):
                self.leave()
                continue
            said = decoded(body)
            if exchange.status != 200:
                text = str(said.get("message") or said.get("error") or "the password is not it")
                raise SeriesRefused(_UNAUTHORIZED, "unauthorized", text)
            self._token = str(said.get("token", ""))
            return
        raise Unreachable("UNAVAILABLE", "no endpoint answered")

    async def ask(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The whole answer to a request; who cannot give one just now is left for the next.

        Raises:
            SeriesRefused: a member said no, or all that they cannot just now.
            Unreachable, OutcomeUnknown: nobody answered.

        """
        reasons: list[str] = []
        busy: SeriesRefused | None = None
        for attempt in range(len(self._endpoints) + 1):
            exchange = await self.open(method, target, headers or {}, body)
            name = self._endpoints[0].name
            try:
                answer = await exchange.body()
            except (OSError, TimeoutError) as error:
                reasons.append(self._reason(name, error, "whole answer"))
                self.leave()
                continue
            finally:
                exchange.close()
            if exchange.status == _UNAUTHORIZED and self._token and not attempt:
                self._token = ""
                continue
            if exchange.status in _NOT_NOW:
                busy = refusal_of(exchange.status, answer)
                self.leave()
                continue
            if exchange.status not in (200, 202, 204):
                raise refusal_of(exchange.status, answer)
            return answer
        raise busy or OutcomeUnknown("UNKNOWN", "; ".join(reasons))

    def _reason(self, name: str, error: OSError | TimeoutError, wanted: str) -> str:
        """Why an endpoint gave nothing; that it took too long is said in our words."""
        late = f"no {wanted} within {self.timeout_s:g} s"
        return f"{name}: {late if isinstance(error, TimeoutError) else error}"

    async def ask_json(self, method: str, target: str, value: Any = None) -> dict[str, Any]:
        """The answer to a request, both JSON.

        Raises:
            ClientError: as `ask`.

        """
        body = b"" if value is None else msgspec.json.encode(value)
        return decoded(await self.ask(method, target, body))

    async def _begun(self, target: str) -> Exchange:
        """An answer that has begun, of the first who can give one just now, else of the last.

        Raises:
            Unreachable: nobody answers.

        """
        reasons = []
        for left in reversed(range(len(self._endpoints))):
            exchange = await self.open("GET", target, {}, b"")
            name = self._endpoints[0].name
            try:
                if await exchange.begun() not in _NOT_NOW or not left:
                    return exchange
            except (OSError, TimeoutError) as error:
                reasons.append(self._reason(name, error, "answer"))
            except BaseException:
                exchange.close()
                raise
            exchange.close()
            self.leave()
        raise Unreachable("UNAVAILABLE", "; ".join(reasons))

    async def lines(self, target: str) -> AsyncGenerator[bytes, None]:
        """Lines of an answer that has no end, as they come.

        Raises:
            SeriesRefused: a member said no.
            Unreachable: nobody answers, or no more.

        """
        exchange = await self._begun(target)
        try:
            while line := await exchange.line():
                if exchange.status != 200:
                    raise refusal_of(exchange.status, line)
                yield line
        except (OSError, TimeoutError) as error:
            self.leave()
            raise Unreachable("UNAVAILABLE", f"the member has gone: {error}") from error
        finally:
            exchange.close()
        raise Unreachable("UNAVAILABLE", "the member has ended")

    async def pieces(self, target: str) -> AsyncGenerator[bytes, None]:
        """An answer of any length, as it comes.

        Raises:
            SeriesRefused: a member said no.
            Unreachable: nobody answers.
            OutcomeUnknown: it has broken off: what came is not all.

        """
        exchange = await self._begun(target)
        try:
            while piece := await exchange.piece():
                if exchange.status != 200:
                    raise refusal_of(exchange.status, piece + await exchange.body())
                yield piece
        except (OSError, TimeoutError) as error:
            self.leave()
            raise OutcomeUnknown("UNKNOWN", f"the answer broke off: {error}") from error
        finally:
            exchange.close()

    async def answer(self, asked: Asked) -> Answer:
        """The answer to a question.

        Raises:
            ClientError: as `ask`.

        """
        return answer_of(await self.ask("GET", asked.target()))


def refusal_of(status: int, body: bytes) -> SeriesRefused:
    """What a member's no says."""
    said = decoded(body)
    text = str(said.get("message") or body[:200].decode(errors="replace").strip())
    return SeriesRefused(status, str(said.get("error", "refused")), text)


def decoded(body: bytes) -> dict[str, Any]:
    """An answer in JSON; an empty one where it is something else."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


async def pause(seconds: float) -> None:
    """Wait before somebody is asked again."""
    await asyncio.sleep(seconds)
