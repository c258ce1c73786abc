"""Where members are that nobody has named: the cluster itself says where clients find them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from roost.client import Member, Status
from roost.client.endpoints import parse_endpoint


class Asked(Protocol):
    """Who was asked, and what it has said of itself."""

    @property
    def endpoint(self) -> str:
        """Where it was asked."""

    @property
    def status(self) -> Status | None:
        """None where it did not answer."""


def unasked(answers: Sequence[Asked], members: Iterable[Member]) -> list[str]:
    """Where those are who have not answered yet: the first client URL of each."""
    known = {it.status.member_id for it in answers if it.status is not None}
    asked = {parse_endpoint(it.endpoint).address for it in answers}
    found = [it.client_urls[0] for it in members if it.id not in known and it.client_urls]
    return [it for it in found if parse_endpoint(it).address not in asked]
