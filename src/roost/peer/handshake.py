"""The greeting on a stream: coroutines around the machines of `greeting`.

They run on sockets and in the simulator alike.
"""

import asyncio
from collections.abc import Awaitable, Callable

from roost.errors import PeerFault
from roost.peer import frame
from roost.peer.errors import HandshakeRefused, MalformedFrame
from roost.peer.frame import Confirm, Confirmed, Invitation, Refusal, Welcome, decode
from roost.peer.greeting import Acceptor, Admitted, CallBack, Dialler, Joins, Say, Told
from roost.peer.local import Address
from roost.peer.stream import Stream

Dial = Callable[[Address], Awaitable[Stream]]


async def greet(stream: Stream, dialler: Dialler) -> Welcome | Invitation:
    """Greet whoever was dialled; what it answers is believed.

    Raises:
        RefusedThere: it will not talk to us.
        HandshakeRefused: we will not talk to it.
        MalformedFrame, OSError, TimeoutError: it is no member, or gone.

    """
    said: Say | Welcome | Invitation = dialler.open()
    while isinstance(said, Say):
        await stream.send(said.kind, said.body)
        said = dialler.feed(*await stream.next_frame())
    return said


async def admit(
    stream: Stream, acceptor: Acceptor, ask_back: Callable[[CallBack], Awaitable[str]]
) -> Admitted | Joins | None:
    """Let somebody greet us; None when it only asked whether we are greeting it.

    The welcome is on its way when this returns; the invitation of a newcomer is not.

    Raises:
        HandshakeRefused: it was told so.
        MalformedFrame, OSError, TimeoutError: it is no member, or gone.

    """
    try:
        step = acceptor.feed(*await stream.next_frame())
        while isinstance(step, Say):
            await stream.send(step.kind, step.body)
            step = acceptor.feed(*await stream.next_frame())
        if isinstance(step, CallBack):
            step = acceptor.answered(await ask_back(step))
    except HandshakeRefused as refusal:
        await stream.send(frame.REFUSAL, acceptor.refusal(refusal))
        raise
    if isinstance(step, Told):
        await stream.send(step.kind, step.body)
        return None
    if isinstance(step, Admitted):
        await stream.send(frame.WELCOME, step.welcome)
    return step


async def call_back(step: CallBack, dial: Dial, *, limit_s: float) -> str:
    """Ask at the addresses that are known, whether it is them who greet us; why not, or "".

    All of it takes at most `limit_s`.
    """
    why = "it has no address"
    for host, port in step.addresses:
        try:
            async with asyncio.timeout(limit_s / len(step.addresses)):
                said = await _ask(await dial((host, port)), step)
        except (OSError, PeerFault) as error:
            said = f"it cannot be asked: {str(error) or type(error).__name__}"
        if not said:
            return ""
        why = f"at {host}:{port} {said}"
    return why


async def _ask(stream: Stream, step: CallBack) -> str:
    try:
        asked = Confirm(target_id=step.target_id, nonce=step.nonce)
        await stream.send(frame.CONFIRM, asked)
        kind, body = await stream.next_frame()
    finally:
        stream.close()
    if kind == frame.CONFIRMED:
        decode(body, Confirmed)
        return ""
    if kind == frame.REFUSAL:
        return decode(body, Refusal).text
    raise MalformedFrame(f"frame kind {kind} instead of a confirmation")
