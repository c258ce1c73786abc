"""The client port: gRPC on a protocol of our own, everything else as an ASGI application."""

from roost.server import gateway, reflection
from roost.server.app import StatusSource, make_app
from roost.server.port import ClientPort, Listener, ServerConfig

__all__ = [
    "ClientPort",
    "Listener",
    "ServerConfig",
    "StatusSource",
    "gateway",
    "make_app",
    "reflection",
]
