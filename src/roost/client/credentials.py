"""Who a client is, and how it knows the server: certificates, a user and a password."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
from grpc import aio

from roost.client.endpoints import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Paths of PEM files, a user and its password; what is empty is not used.

    With `ca_file` or `cert_file` the endpoints are spoken to by TLS, as with `https://`.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Without the password."""
        return f"Credentials(user={self.user!r}, ca_file={self.ca_file!r})"

    def opener(
        self, endpoint: Endpoint, options: list[tuple[str, int | str]]
    ) -> Callable[[], aio.Channel]:
        """What makes a connection to one endpoint, by TLS when it or these say so.

        Raises:
            BadCertificate: a file cannot be used; gRPC would end the process, or say nothing.
            OSError: a file cannot be read.

        """
        if not (endpoint.is_secure or self.ca_file or self.cert_file):
            return partial(aio.insecure_channel, endpoint.address, options=options)
        from roost.tls import TlsFiles, client_context  # most clients speak in the clear

        client_context(
            TlsFiles(cert_file=self.cert_file, key_file=self.key_file, ca_file=self.ca_file)
        )
        # A file may hold the key beside the certificate.
        key_file = self.key_file or self.cert_file
        made = grpc.ssl_channel_credentials(
            _read(self.ca_file), _read(key_file), _read(self.cert_file)
        )
        if endpoint.address.startswith("unix:"):
            # A path is no host: the certificate is that of this machine.
            options = [*options, ("grpc.ssl_target_name_override", "localhost")]
        return partial(aio.secure_channel, endpoint.address, made, options=options)


def _read(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None
