"""Whom a peer's certificate stands for: its common name, and the hosts it is for."""

from collections.abc import Sequence

from roost.certified import is_for
from roost.tls import Certificate, common_name


class ShownCertificate:
    """A certificate that is by an authority of ours, and whom it may stand for."""

    def __init__(self, certificate: Certificate, *, is_allowed: bool) -> None:
        """`is_allowed`: the settings name what a member's certificate is, and it is that."""
        self.is_allowed = is_allowed
        self._common_name = common_name(certificate)
        self._hosts = _hosts_of(certificate)

    def foreign_to(self, names: Sequence[str]) -> str:
        """Why it belongs to nobody of these names and hosts; empty when it does."""
        wanted = [name for name in names if name]
        if self._common_name in wanted or any(is_for(self._hosts, name) for name in wanted):
            return ""
        said = ", ".join(name for name in (self._common_name, *self._hosts) if name)
        return f"a certificate of {said or 'nobody'}, not of {', '.join(wanted)}"


def _hosts_of(certificate: Certificate) -> tuple[str, ...]:
    names = certificate.get("subjectAltName", ())
    assert isinstance(names, tuple), "ssl says so"
    return tuple(str(value) for kind, value in names if kind in ("DNS", "IP Address"))
