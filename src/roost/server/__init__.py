"""The client port: gRPC on a protocol of our own, everything else as an ASGI application."""

from roost.server.app import StatusSource, make_app
from roost.server.port import ClientPort, ServerConfig

__all__ = ["ClientPort", "ServerConfig", "StatusSource", "make_app"]
