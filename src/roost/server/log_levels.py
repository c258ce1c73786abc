"""How much a member says in its log, changed while it runs (etcd 2.3: PUT /config/local/log).

    PUT /config/local/log   {"Level": "DEBUG"}                            204
                            {"Level": "DEBUG", "Module": "roost.raft"}    one module, and all below
                            {"Level": "DEFAULT", "Module": "roost.raft"}  as what is above it
    GET /config/local/log   {"Level": "INFO", "Modules": {"roost.raft": "DEBUG"}}

Levels are etcd's and those of `--log-level`, in any case.  It holds for this process alone, until
it ends.  While authentication is on, root may ask.

Full?  A module is one that has said, or may say, something: no name is kept that a client makes up.
"""

import json
import logging

import msgspec

from roost.endpoint import JSON_KIND, Endpoint, Protocol
from roost.errors import Refused, RoostError
from roost.etcd.access.judge import Judge
from roost.etcd.border import Border
from roost.etcd.errors import status_of
from roost.exchange import JSON, Answer, Request, not_allowed

PATH = "/config/local/log"
BODY_BYTES_MAX = 4 << 10
ALL = "roost"
_LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "NOTICE": logging.INFO,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "PANIC": logging.CRITICAL,
    "FATAL": logging.CRITICAL,
    "CRITICAL": logging.CRITICAL,
    # As the module above it.
    "DEFAULT": logging.NOTSET,
}


class Message(msgspec.Struct, frozen=True):
    """How a request is refused."""

    message: str


class Levels(msgspec.Struct, frozen=True, rename="pascal"):
    """The level of all, and of modules that have their own."""

    level: str
    modules: dict[str, str]


class Wanted(msgspec.Struct, frozen=True, rename="pascal"):
    """The level that a module is to have, and all below it; without one, all."""

    level: str
    module: str = ""


LOG = Protocol(
    name="Log levels",
    text="How much a member says in its log, while it runs.",
    page="how-to/etcd-v2.md",
    error=Message,
)
ENDPOINTS = (
    Endpoint(protocol=LOG, method="GET", path=PATH, text="The levels; for root.", answer=Levels),
    Endpoint(
        protocol=LOG,
        method="PUT",
        path=PATH,
        text="Set a level; for root.",
        takes=(JSON_KIND,),
        body=Wanted,
        gives=(),
        statuses=(204,),
    ),
)
METHODS = tuple(it.method for it in ENDPOINTS)


class LogLevels:
    """Answers requests to PATH."""

    def __init__(self, border: Border) -> None:
        """Ask it who may."""
        self._border = border

    async def answer(self, request: Request) -> Answer:
        """Answer one."""
        if request.method not in METHODS:
            return not_allowed(*METHODS)
        try:
            await self._border.wait_admitted(request.caller, Judge.need_root, may_be_stale=True)
        except RoostError as error:
            status = 401 if isinstance(error, Refused) else 503
            return _message(status, status_of(error).text)
        if request.method == "GET":
            return Answer(200, json.dumps(shown()).encode() + b"\n", (JSON,))
        return _put(request.body)


def _put(body: bytes) -> Answer:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return _message(400, "Invalid json body")
    fields = {name.lower(): value for name, value in said.items()}
    level, module = fields.get("level", ""), fields.get("module") or ALL
    if not isinstance(level, str) or level.upper() not in _LEVELS:
        return _message(400, f"Invalid log level {level}")
    if not isinstance(module, str) or not is_known(module):
        return _message(400, f"Invalid module {module}")
    logging.getLogger(module).setLevel(_LEVELS[level.upper()])
    return Answer(204, b"", ())


def is_known(module: str) -> bool:
    """Whether something of Roost may say something under that name, or one below it."""
    if module == ALL:
        return True
    names = logging.root.manager.loggerDict
    return module.startswith(ALL + ".") and module in names


def shown() -> dict[str, object]:
    """What is said now: the level of all, and of modules that have their own."""
    names = sorted(it for it in logging.root.manager.loggerDict if it.startswith(ALL + "."))
    own = {it: logging.getLogger(it).level for it in names}
    return {
        "Level": logging.getLevelName(logging.getLogger(ALL).getEffectiveLevel()),
        "Modules": {it: logging.getLevelName(level) for it, level in own.items() if level},
    }


def _message(status: int, text: str) -> Answer:
    return Answer(status, json.dumps({"message": text}).encode(), (JSON,))
