"""Why members cannot talk, in words, and each said once until they can: links try for ever."""

import logging
import ssl

from roost.errors import RoostError
from roost.os_errors import words_of
from roost.peer.local import Address
from roost.tls import reason_of

logger = logging.getLogger(__name__)
_HELD_MAX = 16
# What OpenSSL says of a greeting in the clear; it depends on its first bytes.
_NO_TLS = ("wrong version number", "packet length too long", "http request", "record type")


def words_of_tls(error: ssl.SSLError) -> str:
    """What became of a handshake."""
    said = reason_of(error)
    if any(it in said for it in _NO_TLS):
        return "it speaks no TLS: here peer URLs are https, and must be on all members"
    if "eof" in said:
        return "the other side ends the TLS handshake: are its peer URLs https, as here?"
    return f"TLS: {said}"


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return words_of_tls(error)
    return words_of(error) if isinstance(error, OSError) else str(error)


class Troubles:
    """What was said of members that cannot be reached, or are not believed."""

    def __init__(self) -> None:
        """Nothing was said."""
        self._said: dict[int, set[str]] = {}

    def note(self, member_id: int, address: Address, error: Exception) -> None:
        """Dialling a member has failed: say so, when that is news."""
        is_answer = isinstance(error, RoostError)
        text = (
            f"who answers as member {member_id:x} at {address[0]}:{address[1]} is not believed"
            if is_answer
            else f"member {member_id:x} cannot be reached at {address[0]}:{address[1]}"
        )
        text = f"{text}: {_words(error)}"
        said = self._said.setdefault(member_id, set())
        if text in said:
            logger.debug("%s", text)
            return
        if len(said) >= _HELD_MAX:
            said.clear()
        said.add(text)
        logger.warning("%s", text)

    def forget(self, member_id: int) -> None:
        """It is reached, or gone: what comes next is news."""
        self._said.pop(member_id, None)
