"""The client port: gRPC on a protocol of our own, everything else as an ASGI application."""

from roost.server import gateway, health, reflection
from roost.server.app import StatusSource, make_app
from roost.server.listening import CannotListen, Place, bind, describe
from roost.server.port import ClientPort, Listener, ServerConfig

__all__ = [
    "CannotListen",
    "ClientPort",
    "Listener",
    "Place",
    "ServerConfig",
    "StatusSource",
    "bind",
    "describe",
    "gateway",
    "health",
    "make_app",
    "reflection",
]
