"""`roost v2`: keys and directories of etcd's v2, as etcdctl with ETCDCTL_API=2 has them."""

import base64
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import click

from roost.cli.answers import Answer
from roost.cli.exits import EXIT_FAILED
from roost.cli.interrupts import interruptible, leave_done
from roost.cli.pages import pages_of, refused
from roost.cli.shared import NUMBER, Failed, bytes_of, client_options, say_json

_FORM = {"content-type": "application/x-www-form-urlencoded"}
Node = dict[str, Any]  # of JSON


@click.group()
def v2() -> None:
    """Read, write and watch the directories and keys of etcd's v2.

    Members answer where they were started with --enable-v2; --user is a user of v2's own.
    """


class _Tree:
    """The tree of a cluster, as a command asks for it."""

    def __init__(self, endpoints: str, timeout_s: float) -> None:
        self.pages = pages_of(endpoints, timeout_s)
        self._who: dict[str, str] = {}
        if self.pages.who.user:
            said = f"{self.pages.who.user}:{self.pages.who.password}".encode()
            self._who = {"authorization": f"Basic {base64.b64encode(said).decode()}"}

    def ask(self, method: str, key: str, query: Mapping[str, str], form: object = None) -> Node:
        """The event that comes of it; of a key that is not there, the command ends with 1."""
        body = None if form is None else urlencode(form).encode()  # type: ignore[arg-type]  # a mapping
        answer = self.pages.ask(method, _target(key, query), body, {**_FORM, **self._who})
        if not answer.is_good:
            raise _no(answer)
        event: Node = json.loads(answer.body)
        return event

    def watch(self, key: str, query: Mapping[str, str]) -> Iterator[Node]:
        """Events as they come."""
        for line in self.pages.lines(_target(key, query), self._who):
            event = json.loads(line)
            if "errorCode" in event:
                raise _no(Answer(HTTPStatus.BAD_REQUEST, {}, line))
            yield event


def _target(key: str, query: Mapping[str, str]) -> str:
    path = quote(bytes_of("/" + key.lstrip("/")))
    return f"/v2/keys{path}" + (f"?{urlencode(query)}" if query else "")


def _no(answer: Answer) -> Failed:
    """How a command ends to which v2 says no, in etcdctl's form."""
    try:
        told = json.loads(answer.body)
        text = f"{told['errorCode']}: {told['message']} ({told.get('cause', '')})"
    except (ValueError, KeyError, TypeError):
        return refused(answer)
    error = refused(answer)
    return Failed(text, EXIT_FAILED if answer.status == HTTPStatus.NOT_FOUND else error.exit_code)


def _flags(**given: bool) -> dict[str, str]:
    return {name: "true" for name, is_given in given.items() if is_given}


def _say(event: Node, *, as_json: bool) -> None:
    """Print an event: for people, the value that there is now, or was."""
    if as_json:
        say_json(event)
        return
    node = event["node"]
    if "value" in node:
        click.echo(node["value"])
    elif event["action"] not in ("get", "create", "set", "update"):
        click.echo(f"PrevNode.Value: {event.get('prevNode', {}).get('value', '')}")


_ttl = click.option("--ttl", type=click.IntRange(0), help="Seconds to live; for ever without.")
_quorum = click.option("--quorum", is_flag=True, help="See all that was acknowledged before.")


def _compared(command: Callable[..., None]) -> Callable[..., None]:
    value = click.option("--prev-value", default=None, help="Only if the value is this one.")
    index = click.option(
        "--prev-index", type=NUMBER, help="Only if it was changed last at this index."
    )
    return value(index(command))


def _conditions(prev_value: str | None, prev_index: int | None) -> dict[str, str]:
    found = {} if prev_value is None else {"prevValue": prev_value}
    return found if prev_index is None else {**found, "prevIndex": str(prev_index)}


def _lasting(ttl: int | None) -> dict[str, str]:
    return {} if ttl is None else {"ttl": str(ttl)}


@v2.command()
@click.argument("key")
@_quorum
@client_options
def get(key: str, endpoints: str, timeout_s: float, *, quorum: bool, as_json: bool) -> None:
    """Print the value of KEY; exit code 1 when there is none."""
    event = _Tree(endpoints, timeout_s).ask("GET", key, _flags(quorum=quorum))
    if event["node"].get("dir") and not as_json:
        click.echo(f"{key} is a directory: roost v2 ls", err=True)
        sys.exit(EXIT_FAILED)
    _say(event, as_json=as_json)


@v2.command("set")
@click.argument("key")
@click.argument("value")
@_ttl
@_compared
@client_options
def set_value(
    key: str,
    value: str,
    endpoints: str,
    timeout_s: float,
    ttl: int | None,
    prev_value: str | None,
    prev_index: int | None,
    *,
    as_json: bool,
) -> None:
    """Set KEY to VALUE."""
    form = {"value": bytes_of(value), **_lasting(ttl)}
    query = _conditions(prev_value, prev_index)
    _say(_Tree(endpoints, timeout_s).ask("PUT", key, query, form), as_json=as_json)


@v2.command()
@click.argument("key")
@click.argument("value")
@_ttl
@click.option("--in-order", is_flag=True, help="A new key below KEY, whose name is its index.")
@client_options
def mk(
    key: str,
    value: str,
    endpoints: str,
    timeout_s: float,
    ttl: int | None,
    *,
    in_order: bool,
    as_json: bool,
) -> None:
    """Make KEY with VALUE; it must not be there."""
    form = {"value": bytes_of(value), **_lasting(ttl)}
    tree = _Tree(endpoints, timeout_s)
    if in_order:
        event = tree.ask("POST", key, {}, form)
        if not as_json:
            click.echo(event["node"]["key"])
            return
    else:
        event = tree.ask("PUT", key, {"prevExist": "false"}, form)
    _say(event, as_json=as_json)


@v2.command()
@click.argument("key")
@click.argument("value")
@_ttl
@client_options
def update(
    key: str, value: str, endpoints: str, timeout_s: float, ttl: int | None, *, as_json: bool
) -> None:
    """Set KEY, which must be there, to VALUE."""
    form = {"value": bytes_of(value), **_lasting(ttl)}
    event = _Tree(endpoints, timeout_s).ask("PUT", key, {"prevExist": "true"}, form)
    _say(event, as_json=as_json)


@v2.command()
@click.argument("key")
@_ttl
@client_options
def mkdir(key: str, endpoints: str, timeout_s: float, ttl: int | None, *, as_json: bool) -> None:
    """Make the directory KEY; it must not be there."""
    form = {"dir": "true", **_lasting(ttl)}
    event = _Tree(endpoints, timeout_s).ask("PUT", key, {"prevExist": "false"}, form)
    _say(event, as_json=as_json)


@v2.command()
@click.argument("key")
@click.option("--dir", "is_dir", is_flag=True, help="It is an empty directory.")
@click.option("--recursive", is_flag=True, help="It may be a directory, with all below it.")
@_compared
@client_options
def rm(
    key: str,
    endpoints: str,
    timeout_s: float,
    prev_value: str | None,
    prev_index: int | None,
    *,
    is_dir: bool,
    recursive: bool,
    as_json: bool,
) -> None:
    """Delete KEY; print what it was."""
    query = _flags(dir=is_dir, recursive=recursive) | _conditions(prev_value, prev_index)
    _say(_Tree(endpoints, timeout_s).ask("DELETE", key, query), as_json=as_json)


@v2.command()
@click.argument("key", default="/")
@click.option("--recursive", is_flag=True, help="And all directories below.")
@click.option("-p", "marks", is_flag=True, help="Write a / behind the names of directories.")
@_quorum
@client_options
def ls(
    key: str,
    endpoints: str,
    timeout_s: float,
    *,
    recursive: bool,
    marks: bool,
    quorum: bool,
    as_json: bool,
) -> None:
    """Print the names of what is in the directory KEY, in order."""
    query = _flags(recursive=recursive, quorum=quorum, sorted=True)
    node = _Tree(endpoints, timeout_s).ask("GET", key, query)["node"]
    for it in _below(node) if node.get("dir") else (node,):
        if as_json:
            say_json({name: value for name, value in it.items() if name != "nodes"})
        else:
            click.echo(it["key"] + ("/" if marks and it.get("dir") else ""))


def _below(node: Node) -> Iterator[Node]:
    """All nodes below one, each before what is in it."""
    rest = node.get("nodes", [])[::-1]
    while rest:
        found = rest.pop()
        yield found
        rest += found.get("nodes", [])[::-1]


@v2.command()
@click.argument("key", default="/")
@click.option("--recursive", is_flag=True, help="And all below.")
@click.option("--after-index", type=click.IntRange(0), help="From what came after this index on.")
@click.option("--forever", is_flag=True, help="Until interrupted, and not for one change.")
@client_options
def watch(
    key: str,
    endpoints: str,
    timeout_s: float,
    after_index: int | None,
    *,
    recursive: bool,
    forever: bool,
    as_json: bool,
) -> None:
    """Wait for a change of KEY, and print it."""
    query = _flags(wait=True, recursive=recursive, stream=forever)
    if after_index is not None:
        query["waitIndex"] = str(after_index + 1)
    with interruptible(leave_done):
        for event in _Tree(endpoints, timeout_s).watch(key, query):
            if not as_json:
                click.echo(f"[{event['action']}] {event['node']['key']}")
            _say(event, as_json=as_json)
