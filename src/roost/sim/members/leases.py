"""Holders of leases in a simulated cluster: never early, and never for ever (P10).

A holder takes a lease, puts a key under it, renews it for a while by whatever members there are,
then leaves it alone.  While a confirmed renewal is younger than the TTL, as the slowest clock may
count it, the key must be there; some time after the last one it must be gone.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from roost.call import Stream
from roost.flow import OWN
from roost.proto import rpc_pb2
from roost.sim.members.clients import CLIENT_TIMEOUT_S, CallFailed, Clients
from roost.sim.members.judge import Violation

TTL_S = 3
# Clocks run up to 6 % fast or slow.
_DRIFT_PART = 0.07
# After the last renewal: the TTL, an election timeout of grace for each leader, and time to look.
_GONE_S = 60.0
_KEEP_ALIVE = b"/etcdserverpb.Lease/LeaseKeepAlive"


class _Renewing:
    """A keep-alive stream that carries one request."""

    token = certificate_name = address = ""
    flow = OWN
    pending_bytes = 0
    on_drain: Callable[[], None] | None = None

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def send(self, message: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(message)

    def send_all(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self.send(message)

    def finish(self, code: int, text: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(CallFailed(code, text))


@dataclass(slots=True)
class Held:
    """A lease whose grant was confirmed; `since_s` is before the last renewal that was."""

    lease_id: int
    since_s: float

    @property
    def key(self) -> bytes:
        """The key that goes away with it."""
        return b"leased-%d" % self.lease_id


class LeaseHolders:
    """All holders of one run."""

    def __init__(self, clients: Clients) -> None:
        """They call whom `clients` call, by the same means."""
        self._clients = clients
        self.expired_count = 0

    async def work(self, number: int) -> None:
        """Take one lease after another until the run ends; each is seen to its end."""
        dice = self._clients.stream(f"holder {number}")
        count = 0
        while not self._clients.is_stopping:
            count += 1
            held = await self._take(dice, 1 + number * 1000 + count)
            if held is not None:
                await self._keep(dice, held)
                await self._see_end(dice, held)
            await asyncio.sleep(0.2)

    async def _take(self, dice: random.Random, lease_id: int) -> Held | None:
        """Grant a lease and put its key; None when either is not confirmed."""
        loop = asyncio.get_running_loop()
        held = Held(lease_id, loop.time())
        grant = rpc_pb2.LeaseGrantRequest(TTL=TTL_S, ID=lease_id)
        put = rpc_pb2.PutRequest(key=held.key, lease=lease_id)
        for method, request in (
            (b"/etcdserverpb.Lease/LeaseGrant", grant.SerializeToString()),
            (b"/etcdserverpb.KV/Put", put.SerializeToString()),
        ):
            if await self._ask(dice, method, request) is None:
                return None
        return held

    async def _ask(self, dice: random.Random, method: bytes, body: bytes) -> bytes | None:
        """Ask any member; None when there is no answer."""
        endpoint = self._clients.any_endpoint(dice)
        if endpoint is None:
            return None
        try:
            return await self._clients.call(endpoint, method, body)
        except (CallFailed, TimeoutError):
            return None

    async def _keep(self, dice: random.Random, held: Held) -> None:
        """Renew for a while; what is confirmed must hold."""
        loop = asyncio.get_running_loop()
        until = loop.time() + dice.uniform(0, 4 * TTL_S)
        while loop.time() < until and not self._clients.is_stopping:
            sent_s = loop.time()
            ttl_s = await self._renew(dice, held.lease_id)
            if ttl_s:
                held.since_s = sent_s
            elif ttl_s == 0:
                self._check_may_be_gone(held, "a renewal found nothing")
                return
            await asyncio.sleep(dice.uniform(0.1, TTL_S / 2))

    async def _renew(self, dice: random.Random, lease_id: int) -> int | None:
        """The TTL that was confirmed, 0 when the lease is gone, None when nobody answered."""
        endpoint = self._clients.any_endpoint(dice)
        if endpoint is None:
            return None
        route = endpoint.routes[_KEEP_ALIVE]
        assert isinstance(route, Stream), "keep-alives are streams"
        stream = _Renewing()
        handler = route.open(stream)
        handler.on_message(rpc_pb2.LeaseKeepAliveRequest(ID=lease_id).SerializeToString())
        try:
            async with asyncio.timeout(CLIENT_TIMEOUT_S):
                message = await stream.answer
        except (CallFailed, TimeoutError):
            return None
        finally:
            handler.on_cancel()
        return rpc_pb2.LeaseKeepAliveResponse.FromString(message).TTL

    async def _see_end(self, dice: random.Random, held: Held) -> None:
        """Look until the key is gone; not before its time, and not long after all has healed."""
        loop = asyncio.get_running_loop()
        body = rpc_pb2.RangeRequest(key=held.key).SerializeToString()
        healed_s: float | None = None
        while True:
            message = await self._ask(dice, b"/etcdserverpb.KV/Range", body)
            if message is not None and not rpc_pb2.RangeResponse.FromString(message).kvs:
                self._check_may_be_gone(held, "its key is gone")
                self.expired_count += 1
                return
            if self._clients.is_stopping:
                healed_s = loop.time() if healed_s is None else healed_s
                if loop.time() > healed_s + _GONE_S:
                    raise Violation(f"lease {held.lease_id} outlives its time by {_GONE_S} s")
            await asyncio.sleep(0.1)

    def _check_may_be_gone(self, held: Held, seen: str) -> None:
        age_s = asyncio.get_running_loop().time() - held.since_s
        if age_s < TTL_S * (1 - _DRIFT_PART):
            raise Violation(
                f"lease {held.lease_id} of {TTL_S} s: {seen} {age_s:.2f} s after it was renewed"
            )
