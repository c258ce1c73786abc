"""What went wrong, for people: what it means and what to do next, and with which code we end.

A client's errors have the words of gRPC, which name files of its own and numbers of OpenSSL, or
those of the server, which are etcd's.  Here both are turned into a sentence and a next step; what
we do not know is said as it came.
"""

import errno
import re
from dataclasses import dataclass

from roost.cli.exits import (
    EXIT_DEVICE,
    EXIT_FAILED,
    EXIT_REFUSED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
)
from roost.client import BadEndpoint, ClientError, Compacted, LeaseLost
from roost.os_errors import words_of
from roost.runbook import place_of

_ADDRESS = re.compile(r"(?:ipv4|ipv6|unix):([^\s;]+?):? |resolving ([^\s]+): ")
_GO_PREFIX = re.compile(r"^rpc error: code = \w+ desc = ")
_LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


@dataclass(frozen=True, slots=True)
class Trouble:
    """A sentence, and the code to end with."""

    text: str
    code: int


# What a connection that cannot be made is described with, and what it means.
_OTHER_HOST = "the certificate of {at} is not for this host: ask by a name that is in it"
_NO_HOST = "there is no host of the name in {at}"
_CONNECTING = {
    "WRONG_VERSION_NUMBER": "{at} speaks no TLS: write http://, without --cacert and --cert "
    "(ROOST_CACERT, ROOST_CERT)",
    "CERTIFICATE_VERIFY_FAILED": "the authority that signed the certificate of {at} is not known "
    "here: name its file with --cacert",
    "No match found for server name": _OTHER_HOST,
    "peer name": _OTHER_HOST,
    "hostname verification": _OTHER_HOST,
    "Connection refused": "nobody listens on {at}: is the member running there?",
    "lookup": _NO_HOST,
    "resolving": _NO_HOST,
    "No such file": "there is no socket {at}: is the member running there?",
    "unreachable": "there is no way to {at} from this machine",
}
# A connection that was taken and ended at once, without and with TLS.
_ENDED = ("Socket closed", "Connection reset", "SETTINGS", "GOAWAY", "Broken pipe")
_WANTS_TLS = (
    "{at} ends the connection: if it speaks TLS, write https:// and --cacert; if other members "
    "are heard there, ask where clients are"
)
_WANTS_CERTIFICATE = (
    "{at} ends the connection: if it wants a client's certificate, give one of its authority with "
    "--cert and --key"
)
# What the server says, and what to do about it.
_REFUSALS = {
    "user name is empty": "the cluster wants to know who asks: --user NAME",
    "invalid user ID or password": "the user's name or password is wrong",
    "permission denied": "{text}: the user has no role that may do this",
    "authentication is not enabled": "{text}: see `roost auth enable`, or leave out --user",
    "database space exceeded": "{text}: `roost compact`, `roost defrag`, `roost alarm disarm`: "
    + place_of("NOSPACE"),
    "too many requests": "{text}: nothing of it ran; send less at once, or wait for answers: "
    + place_of("Too many requests"),
    "too little memory is left": "{text}: nothing of it ran; fewer and smaller requests at once, "
    "or a larger limit: " + place_of("Memory is short"),
    "looks at too many keys": "{text}: read first, by pages, and compare revisions when you write",
    "too many watchers": "{text}: --max-watchers of the member says how many; watch a prefix",
    "too many leases": "{text}: --max-leases of the members says how many; `roost lease list`",
    "request is too large": "{text}: --max-request-bytes of the members says how large",
    "corrupt cluster": "{text}: members differ; `roost hashkv` and `roost alarm list` show which: "
    + place_of("CORRUPT"),
    "root user does not exist": "{text}: `roost user add root` first, `user grant-role root root`",
    "does not have root role": "{text}: `roost user grant-role root root` first",
    "user name not found": "{text}: `roost user list` shows all",
    "role name not found": "{text}: `roost role list` shows all",
    "invalid auth management": "{text}: the user root, and its role root, stay while "
    "authentication is on",
    "lease not found": "{text}: it has ended, or has another id: `roost lease list`",
    "required revision is a future revision": "{text}: `roost status` shows the current one",
    "member URLs are invalid": "{text}: write http://host:port, or https://",
    "Peer URLs already exist": "{text}: `roost member list` shows whose they are",
    "member not found": "{text}: `roost member list` shows the ids",
    "not enough started members": "{text}: start the members that were added; `roost member list`",
    "unhealthy cluster": "{text}: fewer would answer than are needed; `roost status`",
    "in sync with leader": "{text}: try again when it has caught up",
    "bad leader transferee": "{text}: it must be a voter; `roost member list` shows the ids",
}
_NO_LEADER = ("no leader", "leader changed", "timed out")
# What gRPC, and our client, say of a deadline; whoever waited for something else says for what.
_TIMEOUTS = ("deadline exceeded", "no answer in time", "says nothing", "timeout")
_NOT_IN_TIME = (
    "no answer in time: is the endpoint right, and is there a leader (`roost status`)? --timeout "
    "allows more seconds"
)
# A file that cannot be used; anything else that a file says is the device's fault.
_UNUSABLE = (
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EACCES, errno.EPERM,
    errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG,
)  # fmt: skip


def refusal_of(error: ClientError) -> str | None:
    """What a member has refused, and what to do about it; None where there is nothing to add."""
    text = _GO_PREFIX.sub("", error.text)
    return next((it.format(text=text) for words, it in _REFUSALS.items() if words in text), None)


def trouble_of(error: ClientError, *, speaks_tls: bool) -> Trouble:
    """What to say of an error."""
    text = _GO_PREFIX.sub("", error.text)
    if isinstance(error, BadEndpoint):
        return Trouble(f"{text} (--endpoints)", EXIT_USAGE)
    if isinstance(error, LeaseLost):
        return Trouble(text, EXIT_FAILED)
    if isinstance(error, Compacted):
        said = "what was before is forgotten; `roost status` shows the newest revision"
        if error.revision:
            said = f"history begins at {error.revision}: --revision {error.revision}"
        return Trouble(f"{text}: {said}", EXIT_REFUSED)
    if (refusal := refusal_of(error)) is not None:
        return Trouble(refusal, EXIT_REFUSED)
    if error.code not in _LOST:
        return Trouble(text or error.code, EXIT_REFUSED)
    if text.startswith(("etcdserver:", "roost:")):
        more = ": `roost status` shows who answers" if any(it in text for it in _NO_LEADER) else ""
        return Trouble(f"{text}{more}", EXIT_UNREACHABLE)
    return Trouble(_unreachable(error, text, speaks_tls=speaks_tls), EXIT_UNREACHABLE)


def trouble_of_file(error: OSError) -> Trouble:
    """What to say of a file, or of standard output, that could not be used."""
    code = EXIT_USAGE if error.errno in _UNUSABLE else EXIT_DEVICE
    return Trouble(words_of(error), code)


def _unreachable(error: ClientError, text: str, *, speaks_tls: bool) -> str:
    found = _ADDRESS.search(text + " ")
    at = next(filter(None, found.groups()), "") if found else ""
    at = at or "the endpoint"
    for words, said in _CONNECTING.items():
        if words.lower() in text.lower():
            return said.format(at=at)
    if any(it in text for it in _ENDED):
        return (_WANTS_CERTIFICATE if speaks_tls else _WANTS_TLS).format(at=at)
    said = (text or error.code).lower().replace("_", " ")
    if any(it in said for it in _TIMEOUTS):
        return _NOT_IN_TIME
    return text or error.code
