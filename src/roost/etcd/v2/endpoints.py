"""What v2 answers, as rows: etcd's pages of 0.4 and 2.3, by their names there.

They are found by code (`interface`), because a path is unescaped and cleaned before; the tests ask
for each row, and for what is none.
"""

import msgspec

from roost.endpoint import JSON_KIND, TEXT_KIND, Endpoint, Kind, Parameter, Protocol, in_path
from roost.etcd.v2.members import Member, Members
from roost.etcd.v2.registry import SIZE_MAX

_FORM_KIND = "application/x-www-form-urlencoded"


class V2Error(msgspec.Struct, frozen=True, rename="camel"):
    """How a request is refused; members and users have a message alone, keys all but that."""

    message: str
    error_code: int | None = None
    cause: str | None = None
    index: int | None = None


class Node(msgspec.Struct, frozen=True, rename="camel"):
    """A key, or a directory with what is in it."""

    key: str
    created_index: int
    modified_index: int
    value: str | None = None
    dir: bool = False
    nodes: list["Node"] = []
    ttl: int | None = None
    expiration: str | None = None


class Action(msgspec.Struct, frozen=True, rename="camel"):
    """What was done, or is there, and what was there before; with `noValueOnSuccess` no node."""

    action: str
    node: Node | None = None
    prev_node: Node | None = None


class Enabled(msgspec.Struct, frozen=True):
    """Whether users are asked for."""

    enabled: bool


V2 = Protocol(
    name="etcd v2",
    text="etcd's tree of directories and keys of 0.4 and 2.3, with `--enable-v2`.",
    page="how-to/etcd-v2.md",
    error=V2Error,
)
_KEY = in_path("key", "The key or directory; empty = the root.")
_RECURSIVE = Parameter("recursive", "With all that is below.", Kind.FLAG)
_DIR = Parameter("dir", "It is a directory.", Kind.FLAG)
_PREV_VALUE = Parameter("prevValue", "Only if that is its value.")
_PREV_INDEX = Parameter("prevIndex", "Only if that is its `modifiedIndex`.", Kind.WHOLE)
_SILENT = Parameter("noValueOnSuccess", "Leave values out of the answer.", Kind.FLAG)
_VALUE = Parameter("value", "The value.")
_TTL = Parameter("ttl", "It goes away after so many seconds; empty = it stays.", Kind.WHOLE)
_READ = (
    _RECURSIVE,
    Parameter("sorted", "Taken; lists are always in order.", Kind.FLAG),
    Parameter("quorum", "See everything that was acknowledged before.", Kind.FLAG),
    Parameter("consistent", "As 0.3: ask the leader.", Kind.FLAG),
    Parameter("wait", "Answer when it changes.", Kind.FLAG),
    Parameter("waitIndex", "Of changes from this one on.", Kind.WHOLE),
    Parameter("stream", "With `wait`: go on with each change.", Kind.FLAG),
)


def _keys(method: str, text: str, *parameters: Parameter, statuses: tuple[int, ...]) -> Endpoint:
    has_form = method in ("PUT", "POST")
    return Endpoint(
        protocol=V2,
        method=method,
        path="/v2/keys/{key}",
        text=text,
        parameters=(_KEY, *parameters),
        takes=(_FORM_KIND,) if has_form else (),
        answer=Action,
        statuses=statuses,
        is_deep=True,
    )


KEYS = (
    _keys("GET", "Read a key or a directory, or wait for changes.", *_READ, statuses=(200,)),
    _keys("HEAD", "The head of the same answer.", *_READ, statuses=(200,)),
    _keys(
        "PUT",
        "Set a key or make a directory, also if nothing has changed since.",
        *(_VALUE, _TTL, _DIR, _PREV_VALUE, _PREV_INDEX),
        Parameter("prevExist", "Only if it is there, or only if it is not.", Kind.FLAG),
        Parameter("refresh", "Only its time to live; nobody who waits is told.", Kind.FLAG),
        _SILENT,
        statuses=(200, 201),
    ),
    _keys(
        "POST",
        "Make a key in a directory, whose name is the next number.",
        *(_VALUE, _TTL, _DIR, _SILENT),
        statuses=(201,),
    ),
    _keys(
        "DELETE",
        "Delete a key or a directory, also if nothing has changed since.",
        *(_RECURSIVE, _DIR, _PREV_VALUE, _PREV_INDEX, _SILENT),
        statuses=(200,),
    ),
)


def _page(
    method: str,
    path: str,
    text: str,
    answer: object = None,
    *,
    parameters: tuple[Parameter, ...] = (),
    takes: tuple[str, ...] = (),
    gives: tuple[str, ...] = (JSON_KIND,),
    statuses: tuple[int, ...] = (200,),
    is_deep: bool = False,
) -> Endpoint:
    return Endpoint(
        protocol=V2,
        method=method,
        path=path,
        text=text,
        parameters=parameters,
        takes=takes,
        gives=gives,
        answer=answer,
        statuses=statuses,
        is_deep=is_deep,
    )


_ID = in_path("id", "In hexadecimal digits.")
_NAME = in_path("name", "The name.")
_JSON, _TEXT = (JSON_KIND,), (TEXT_KIND,)
_MEMBER = "/v2/members/{id}"
MEMBERS = (
    _page("GET", "/v2/members", "Who is in the cluster.", Members),
    _page("POST", "/v2/members", "Add a member.", Member, takes=_JSON, statuses=(201,)),
    _page("GET", "/v2/members/leader", "Who leads.", Member),
    _page(
        "PUT",
        _MEMBER,
        "Change a member's peer URLs.",
        parameters=(_ID,),
        takes=_JSON,
        gives=(),
        statuses=(204,),
    ),
    _page("DELETE", _MEMBER, "Remove a member.", parameters=(_ID,), gives=(), statuses=(204,)),
    _page("GET", "/v2/machines", "All client URLs, with commas.", gives=_TEXT),
    _page("HEAD", "/v2/machines", "The head of the same answer.", gives=_TEXT),
    _page("GET", "/v2/leader", "The leader's peer URL.", gives=_TEXT),
    _page("HEAD", "/v2/leader", "The head of the same answer.", gives=_TEXT),
)
STATISTICS = (
    _page("GET", "/v2/stats/self", "Who this member is, and who leads."),
    _page("GET", "/v2/stats/store", "How many reads and changes there were here."),
    _page("GET", "/v2/stats/leader", "How long each follower takes; 403 where none is led."),
)
_ENABLE = "/v2/auth/enable"
USERS = (
    _page("GET", _ENABLE, "Whether users are asked for.", Enabled),
    _page("PUT", _ENABLE, "Ask for users from now on; for root."),
    _page("DELETE", _ENABLE, "Ask for users no more; for root."),
    *(
        row
        for kind in ("user", "role")
        for path in (f"/v2/auth/{kind}s",)
        for row in (
            _page("GET", path, f"All {kind}s; for root."),
            *(
                _page(
                    method,
                    path + "/{name}",
                    f"{verb} a {kind}; for root.",
                    parameters=(_NAME,),
                    takes=(JSON_KIND,) if method == "PUT" else (),
                    statuses=(200, 201) if method == "PUT" else (200,),
                )
                for method, verb in (
                    ("GET", "Show"),
                    ("PUT", "Make or change"),
                    ("DELETE", "Delete"),
                )
            ),
        )
    ),
)
_LOCK, _LEAD = "/mod/v2/lock/{key}", "/mod/v2/leader/{key}"
_AT = in_path("key", "Of what is held.")
_SECONDS = Parameter("ttl", "For so many seconds without a word.", Kind.WHOLE, is_needed=True)
_TIMEOUT = Parameter("timeout", "Wait for so many seconds at most; 0 = not at all.", Kind.WHOLE)
_PLACE = (
    Parameter("index", "What whoever holds it was told; or say `value`.", Kind.WHOLE),
    Parameter("value", "As it was acquired with; or say `index`."),
)
_WHO = Parameter("name", "Who leads, or is to.", is_needed=True)
MODULES = tuple(
    _page(
        method,
        path,
        text,
        gives=_TEXT,
        parameters=(_AT, *parameters),
        takes=(_FORM_KIND,) if method in ("PUT", "POST") else (),
        is_deep=True,
    )
    for method, path, text, parameters in (
        ("POST", _LOCK, "Hold a lock, when it is free; an index.", (_SECONDS, _VALUE, _TIMEOUT)),
        (
            *("GET", _LOCK, "Who holds a lock; nothing when nobody does."),
            (Parameter("field", "`value`, or `index`."),),
        ),
        ("PUT", _LOCK, "Hold a lock for longer.", (_SECONDS, *_PLACE)),
        ("DELETE", _LOCK, "Give a lock up.", _PLACE),
        ("PUT", _LEAD, "Lead, when nobody else does; again to stay.", (_WHO, _SECONDS, _TIMEOUT)),
        ("GET", _LEAD, "The name of who leads.", ()),
        ("DELETE", _LEAD, "Lead no more.", (_WHO,)),
    )
)
REGISTRY = _page(
    "GET",
    "/new",
    "A place where the first members of a cluster find each other; a URL.",
    gives=_TEXT,
    parameters=(Parameter("size", f"How many; 1 to {SIZE_MAX}, 3 unless it is said.", Kind.WHOLE),),
)
GONE = _page(
    "GET",
    "/v1/{rest}",
    "Gone: ask v2, or v3.",
    gives=_TEXT,
    parameters=(in_path("rest", "Whatever it was."),),
    statuses=(410,),
    is_deep=True,
)
ENDPOINTS = (*KEYS, *MEMBERS, *STATISTICS, *USERS, *MODULES, REGISTRY, GONE)
