"""The client port: gRPC on a protocol of our own, everything else as an ASGI application."""

from roost.server.app import StatusSource, make_app
from roost.server.listening import CannotListen, bind
from roost.server.options import Serving, quota_of, serving_of
from roost.server.port import ClientPort, Listener, ServerConfig
from roost.server.serving import MemberServer, make_listeners

__all__ = [
    "CannotListen",
    "ClientPort",
    "Listener",
    "MemberServer",
    "ServerConfig",
    "Serving",
    "StatusSource",
    "bind",
    "make_app",
    "make_listeners",
    "quota_of",
    "serving_of",
]
