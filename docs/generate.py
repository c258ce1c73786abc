"""Writes the reference pages from the program itself; `make docs` runs it, a test compares.

`python docs/generate.py` writes docs/reference/{settings,cli,metrics,http,errors,client,series-client,database,objects,testing,consensus,journal,differences}.md,
and deploy/roost.yaml, the configuration that has every setting.
"""

import ast
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Collection
from enum import Enum
from functools import cache
from importlib import import_module
from inspect import getdoc, getmembers, isasyncgenfunction, isclass, iscoroutinefunction, isfunction, signature
from pathlib import Path
from pkgutil import walk_packages
from textwrap import wrap
from typing import Any

import click
from google.protobuf.descriptor import MethodDescriptor

import roost
from roost.cli.exits import OF_COMMANDS, OF_SERVE
from roost.cli.main import main
from roost.cli.settings import NOTED, REFUSED, TAKEN
from roost.errors import PackageMissing, RoostError
from roost.server.figures import FIGURES
from roost.sim.cores.script import points_in, points_of

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
MADE = "<!-- made by docs/generate.py; do not edit -->\n"


def settings_page() -> str:
    """Every flag of etcd's, with what it does here."""
    lines = [
        MADE,
        "# Settings of `roost serve`",
        "",
        "A setting is a flag (`--name m1`, `--name=m1` or `-name m1`), else a variable (`ROOST_NAME`, else",
        "`ETCD_NAME`), else its default. `--config-file` names a YAML file whose settings replace all of these.",
        "A variable or a value of the file that is empty is not set. SIGHUP has a member read its log level again, and look at",
        "its certificates; those are also read whenever their files change.",
        "",
        "| flag | default | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `--{flag.name}` | `{flag.default_text}` | {flag.text} |" for flag in TAKEN]
    lines += [
        "",
        "## Flags of etcd's that have nothing to act on",
        "",
        "They are taken with any value; a line at the start says why it changes nothing.",
        "",
        "| flag | reason |",
        "|---|---|",
    ]
    lines += [f"| `--{flag.name}` | {flag.text} |" for flag in NOTED]
    lines += [
        "",
        "## Flags of etcd's that are refused",
        "",
        "They may be given with a value that changes nothing; any other value is refused with the reason.",
        "",
        "| flag | may be | reason |",
        "|---|---|---|",
    ]
    for flag in REFUSED:
        allowed = ", ".join(f"`{value or '(empty)'}`" for value in flag.harmless)
        lines.append(f"| `--{flag.name}` | {allowed} | {flag.text} |")
    return "\n".join(lines) + "\n"


# Where a group of settings begins, in their order.
SETTING_GROUPS = {
    "name": "Who this member is, and where its data lie",
    "listen-client-urls": "Where it is reached",
    "initial-cluster": "How the cluster begins; read at the first start only",
    "discovery": "How first members find each other, where nobody names them",
    "force-new-cluster": "When a majority is lost for good",
    "lease-reads": "Consensus: the same on all members",
    "snapshot-count": "Sizes",
    "strict-permissions": "The data, and backups by the clock",
    "max-memory-bytes": "Limits",
    "auto-compaction-mode": "History",
    "cert-file": "TLS for clients",
    "peer-cert-file": "TLS and trust between members",
    "self-signed-cert-validity": "TLS of both",
    "auth-token": "Users",
    "cors": "HTTP",
    "enable-v2": "etcd's v2",
    "counters-name": "Counters",
    "listen-metrics-urls": "Metrics, connections and the end",
    "logger": "The log",
}
# What a member under systemd or from a package has; all others are its defaults.
SET_IN_SAMPLE = {"name": "default", "data-dir": "/var/lib/roost/data"}
KINDS = {
    str: "A text",
    int: "A whole number",
    bool: "true or false",
    float: "A duration, as 1h30m, 90s or 500ms",
    tuple: "Texts, comma-separated or a list",
}


def _commented(text: str) -> list[str]:
    """A text as lines of a comment, whose words stay whole."""
    return wrap(
        text,
        100,
        initial_indent="# ",
        subsequent_indent="# ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def sample_config() -> str:
    """A configuration with every setting: what it does, its kind, its default."""
    lines = [
        "# Made by docs/generate.py: every setting of a member.",
        "#",
        "#     roost serve --config-file /etc/roost/roost.yaml",
        "#",
        "# A setting whose line begins with # has its default, which stands there. Such a file replaces flags and",
        "# variables altogether. `roost doctor --config-file FILE` judges it, and this machine, before a start.",
    ]
    for flag in TAKEN:
        if flag.name == "config-file":
            continue  # this is one
        if flag.name in SETTING_GROUPS:
            lines += ["", f"# == {SETTING_GROUPS[flag.name]}"]
        is_set = flag.name in SET_IN_SAMPLE
        value = SET_IN_SAMPLE.get(flag.name, flag.default_text)
        is_plain = flag.kind in (int, bool)
        shown = value.lower() if is_plain else json.dumps(value)
        default = flag.default_text if flag.default_text else "none"
        kind = f"{KINDS[flag.kind]}; default: {default.lower() if is_plain else default}"
        lines += ["", *_commented(flag.text)]
        lines += [f"# {kind}.", f"{'' if is_set else '#'}{flag.name}: {shown}"]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, prefix: str) -> list[tuple[str, click.Command]]:
    """All commands below a group, by their whole names."""
    context = click.Context(group, info_name=prefix)
    found: list[tuple[str, click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, "listed commands exist"
        if isinstance(command, click.Group):
            found += _commands(command, f"{prefix} {name}")
        else:
            found.append((f"{prefix} {name}", command))
    return found


def cli_page() -> str:
    """Every command with its help."""
    context = click.Context(main, info_name="roost")
    parts = [
        MADE,
        "# Commands\n",
        "Options that every command of a client has may be variables: `ROOST_ENDPOINTS`, `ROOST_USER`, `ROOST_CACERT`, `ROOST_CERT`,",
        "`ROOST_KEY`, or etcdctl's `ETCDCTL_ENDPOINTS` and so on. Endpoints are `host:port`, `http://`, `https://` or `unix://` URLs,",
        "comma-separated. `--rev` is `--revision`, as with etcdctl.\n",
        "A command of a client ends with a code that says how:\n",
        "| code | meaning |\n|---|---|",
        *(f"| {code} | {text} |" for code, text in OF_COMMANDS.items()),
        "",
    ]
    for name, command in _commands(main, "roost"):
        sub = click.Context(command, info_name=name, max_content_width=100)
        parts.append(f"## {name}\n\n```\n{command.get_help(sub)}\n```\n")
    return "\n".join(parts)


def metric_names() -> list[tuple[str, str, str]]:
    """(name, kind, help) of every metric."""
    return [(it.name, it.kind, it.text) for it in FIGURES]


def metrics_page() -> str:
    """Every metric on `/metrics`."""
    lines = [
        MADE,
        "# Metrics",
        "",
        "`/metrics` on the client port. Names that etcd has too mean the same, but for what etcd counts on every member",
        "because every member runs every request: Roost runs a write once, where it leads, and counts it there.",
        "Besides these there are the `process_...` metrics that Prometheus's Python client has of every process.",
        "",
        "| metric | kind | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | {kind} | {text} |" for name, kind, text in metric_names()]
    return "\n".join(lines) + "\n"


def all_endpoints() -> dict[str, Any]:  # JSON
    """What a member describes that serves everything; a test asks one."""
    from roost import etcd
    from roost.counters.endpoints import ENDPOINTS as COUNTERS
    from roost.dashboard.endpoints import ENDPOINTS as DASHBOARD
    from roost.etcd.v3.interface import SINCE
    from roost.server import app, documented, gateway, health, log_levels, openapi, reflection
    from roost.server.models import MODELS
    from roost.server.models.series_endpoints import ENDPOINTS as SERIES

    schemas = [schema for it in MODELS for schema in it.schemas]
    calls = {
        f"/{version}/{path}": Called(descriptor)
        for path, descriptor in gateway.methods_of(etcd.JSON_PATHS, schemas).items()
        for version in gateway.VERSIONS
    }
    spoken = [
        f"/{schema.package}.{name}/{method.name}".encode()
        for schema in (*schemas, *health.SCHEMAS, *reflection.SCHEMAS)
        for name, service in schema.services_by_name.items()
        for method in service.methods
    ]
    spoken.append(SINCE)
    own = (*app.ENDPOINTS, *log_levels.ENDPOINTS, *etcd.V2_ENDPOINTS, *SERIES, *COUNTERS, *DASHBOARD)
    steps = openapi.document((*own, *documented.ENDPOINTS), calls, etcd.JSON_TEXTS, spoken, "0")
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@dataclasses.dataclass(frozen=True)
class Called:
    """A call of the gateway, that nobody answers."""

    descriptor: MethodDescriptor


def http_page() -> str:
    """Every endpoint of the client port, as `/openapi.json` of a member has them that serves all."""
    made = all_endpoints()
    rows: dict[str, list[str]] = {it["name"]: [] for it in made["tags"]}
    for path, item in made["paths"].items():
        for method, it in item.items():
            if method == "$ref":
                continue
            takes = ", ".join(f"`{one['name']}`" for one in it.get("parameters", ()) if one["in"] != "path")
            rows[it["tags"][0]].append(f"| `{method.upper()} {path}` | {takes} | {it['summary']} |")
    lines = [
        MADE,
        "# What the client port answers",
        "",
        "One port speaks HTTP/1.1 and gRPC, with TLS or without. This page is made of the tables by which members answer; each",
        "member tells its own, with its present settings: `GET /openapi.json` for programs (OpenAPI 3.1, with the forms of bodies,",
        "answers and errors), `GET /endpoints` as text, and the room *Member* of [the dashboard](../how-to/dashboard.md) for people.",
        "",
        "    curl http://127.0.0.1:2379/endpoints",
        "",
        "As JSON a key and its value are base64 (`Zm9v` is `foo`; `printf foo | base64`):",
        "",
        """    curl -X POST http://127.0.0.1:2379/v3/kv/put -d '{"key": "Zm9v", "value": "YmFy"}'""",
        """    curl -X POST http://127.0.0.1:2379/v3/kv/range -d '{"key": "Zm9v"}'""",
        """    curl -X POST http://127.0.0.1:2379/v3/auth/authenticate -d '{"name": "alice", "password": "..."}'     # {"token": TOKEN}""",
        """    curl -X POST http://127.0.0.1:2379/v3/kv/range -H 'Authorization: TOKEN' -d '{"key": "Zm9v"}'""",
        "",
        "While users are on, a token of `POST /v3/auth/authenticate` goes in the header `Authorization`; v2 has users of its own. In the",
        "document, `x-roost-deep` is a path whose last part may have slashes in it, `x-roost-stream` an answer of JSON in lines without",
        "end, `x-grpc-method` the call of gRPC that does the same. Paths below `/v3beta/` and `/v3alpha/` are those below `/v3/`.",
    ]
    for it in made["tags"]:
        text, _, page = it["description"].rpartition(" More: docs/")
        more = "" if page == "reference/http.md" else f" [More]({Path('..') / page})."
        lines += ["", f"## {it['name']}", "", text + more, ""]
        lines += ["| request | parameters | what it does |", "|---|---|---|", *rows[it["name"]]]
    lines += ["", "## gRPC", "", "Services, and their methods; reflection tells their messages.", ""]
    lines += ["| service | methods |", "|---|---|"]
    lines += [f"| `{name}` | {', '.join(methods)} |" for name, methods in made["x-grpc-services"].items()]
    return "\n".join(lines) + "\n"


def error_classes() -> list[type[RoostError]]:
    """Every error class of the program, by module and name."""
    found: set[type[RoostError]] = set()
    for info in walk_packages(roost.__path__, "roost."):
        if info.name.endswith("__main__"):
            continue
        try:
            module = import_module(info.name)
        except PackageMissing:
            continue  # without its extra; what it raises stands elsewhere
        for _, it in getmembers(module, isclass):
            if issubclass(it, RoostError):
                found.add(it)
    return sorted(found, key=lambda it: (it.__module__, it.__name__))


def errors_page() -> str:
    """Every error class with its first line."""
    lines = [MADE, "# Errors", "", "| error | is a | meaning |", "|---|---|---|"]
    for it in error_classes():
        text = (getdoc(it) or "").splitlines()[0]
        base = it.__bases__[0].__name__
        lines.append(f"| `{it.__module__}.{it.__name__}` | `{base}` | {text} |")
    lines += [
        "",
        "## Exit codes of `roost serve`",
        "",
        "| code | meaning |",
        "|---|---|",
        *(f"| {code} | {text} |" for code, text in OF_SERVE.items()),
    ]
    return "\n".join(lines) + "\n"


@cache
def said_by_tests() -> list[tuple[str, str]]:
    """Files of tests, and functions in them: what each says of itself; many pages ask."""
    said = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place, tree = path.relative_to(ROOT / "tests"), ast.parse(path.read_text())
        said.append((str(place), ast.get_docstring(tree) or ""))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                said.append((f"{place}::{node.name}", ast.get_docstring(node) or ""))
    return said


def shown_by() -> dict[int, list[str]]:
    """Who shows each point of the consensus checklist: tests and scenarios that say so."""
    found: dict[int, list[str]] = {}
    for path in sorted((ROOT / "tests" / "scenarios").glob("*.txt")):
        for point in points_of(path.read_text()):
            found.setdefault(point, []).append(f"scenarios/{path.name}")
    for name, said in said_by_tests():
        for point in points_in(said) if "::" in name else ():
            found.setdefault(point, []).append(name)
    return found


def consensus_page() -> str:
    """The checklist of docs/consensus-points.txt, with who shows each point."""
    shown = shown_by()
    lines = [
        MADE,
        "# What the consensus core does, and who shows it",
        "",
        "Each point is shown by the tests and scenarios named, among others: they name the point back. What Raft calls",
        "for is in them all; how we compare with other libraries is in [consensus](../explanation/consensus.md).",
    ]
    for line in (ROOT / "docs" / "consensus-points.txt").read_text().splitlines():
        number, _, text = line.partition(" ")
        if not number.isdigit():
            lines += ["", f"## {line}", "", "| point | | shown by |", "|---|---|---|"]
            continue
        tests = "<br>".join(f"`{it}`" for it in dict.fromkeys(shown.get(int(number), [])))
        lines.append(f"| {number} | {text} | {tests} |")
    return "\n".join(lines) + "\n"


def journal_points() -> dict[str, str]:
    """The points of docs/journal-points.txt: number and text."""
    lines = (ROOT / "docs" / "journal-points.txt").read_text().splitlines()
    rows = [line.split(" ", 1) for line in lines if re.match(r"J[0-9]", line)]
    return dict(rows)


def journal_shown_by() -> dict[str, list[str]]:
    """Who shows each point of the journal: tests, and files of tests, that say so."""
    found: dict[str, list[str]] = {}
    for name, said in said_by_tests():
        for point in re.findall(r"\bJ[0-9]+\b", said):
            found.setdefault(point, []).append(name)
    return found


def journal_page() -> str:
    """The points of docs/journal-points.txt, with who shows each."""
    shown = journal_shown_by()
    lines = [
        MADE,
        "# What the journal keeps, and who shows it",
        "",
        "The code names these points where it keeps them, and each is shown by the tests named, among others; all of them",
        "together by the states of `python -m roost.sim.crashes` and the cases of `python -m roost.sim.par`. Numbers are never",
        "given twice: one that is missing was a rule that another has taken in.",
    ]
    for line in (ROOT / "docs" / "journal-points.txt").read_text().splitlines():
        number, _, text = line.partition(" ")
        if not re.match(r"J[0-9]", line):
            lines += ["", f"## {line}", "", "| point | | shown by |", "|---|---|---|"]
            continue
        tests = "<br>".join(f"`{it}`" for it in dict.fromkeys(shown.get(number, [])))
        lines.append(f"| {number} | {text} | {tests} |")
    return "\n".join(lines) + "\n"


def client_page() -> str:
    """Every class and call of the blocking client; asyncio's has the same."""
    blocking = import_module("roost.client.blocking")
    lines = [
        MADE,
        "# The client",
        "",
        "`roost.Client`, and what it gives back. `roost.aio.Client` has the same for asyncio: each call is awaited where nothing else is said, each generator",
        "is an `async for`, each `with` an `async with`. [How to use it](../how-to/python-client.md). For annotations all of these types are in",
        "`roost.client`, as `roost.client.Stm`; asyncio's in `roost.client.aio`.",
    ]
    for name in sorted(blocking.__all__, key=lambda it: (it != "Client", it)):
        lines += class_lines(getattr(blocking, name), "roost.client")
    lines += ["", "# What calls take and give", "", "All of it is in `roost.client`, for asyncio too."]
    for name in CLIENT_VALUES:
        lines += class_lines(getattr(import_module("roost.client"), name), "roost.client", without=FOR_US)
    return "\n".join(lines) + "\n"


CLIENT_VALUES = (
    "Item", "Change", "Page", "Key", "Put", "Get", "Delete", "Txn", "TxnAnswer", "Leader", "Granted", "TimeToLive",
    "Retry", "Credentials", "Member", "Status", "Alarm", "HashKv", "Permission",
)  # fmt: skip
# Calls of public classes that only other classes of ours make.
FOR_US = frozenset(("message", "request", "opener"))
NOT_MADE = frozenset(("__init__",))
SENDING = NOT_MADE | {"call", "hand_over", "fetch", "csv", "arrow", "batches"}


def series_page() -> str:
    """Every class and call of time series for programs that block; asyncio's has the same."""
    series = import_module("roost.client.series")
    lines = [
        MADE,
        "# Time series from Python",
        "",
        "`from roost.client import series`. `series.aio` has the same for asyncio: `async with series.aio.connect(...) as con`, each call",
        "is awaited where nothing else is said, each generator is an `async for`; so has `db.series` of a program that a member is in, but for endpoints. [How to use",
        "it](../how-to/series.md); what goes over HTTP is in [another page](series.md).",
        "",
        "A time is nanoseconds since 1970, a `datetime` with a zone, or, where something is asked for or deleted, a text: RFC 3339, a date,",
        "`now`, `now-1h`. A name of a series is `sensor1.heat`, or with labels `cpu.idle{host=a}`.",
    ]
    for name in ("connect", "query"):
        lines += function_lines(f"series.{name}", getattr(series, name))
    for kind in (series.Connection, series.Appender):
        lines += class_lines(kind, "roost.client.series", without=SENDING)
    lines += class_lines(series.Question, "roost.client.series", without=NOT_MADE)
    for kind in (series.Answer, series.Table, series.Live):
        lines += class_lines(kind, "roost.client.series")
    for kind in (series.BadPoint, series.SeriesRefused):
        lines += class_lines(kind, "roost.client.series", without=NOT_MADE)
    lines += function_lines("series.export", series.export)
    for kind in (series.Exported, series.State, series.Every):
        lines += class_lines(kind, "roost.client.series")
    lines += function_lines("series.sharded.connect", series.sharded.connect)
    lines += class_lines(series.sharded.Sharded, "roost.client.series", without=SENDING)
    return "\n".join(lines) + "\n"


def class_lines(kind: type, room: str, *, without: Collection[str] = ()) -> list[str]:
    """A class with every call that people make, of those that `room` wrote."""
    name = kind.__name__
    lines = ["", f"## {name}", "", getdoc(kind) or ""]
    if issubclass(kind, Enum):
        return [*lines, "", f"One of {', '.join(f'`{it.name}`' for it in kind)}."]
    called = [it for it in reversed(kind.__mro__) for it in vars(it).items()]
    for call, it in {name: it for name, it in called if name == "__init__" or name[0] != "_"}.items():
        if call in without:
            continue
        if isinstance(it, property):
            lines += ["", f"### {name}.{call}", "", getdoc(it) or ""]
        elif isfunction(it) and it.__module__.startswith(room):
            lines += function_lines(name if call == "__init__" else f"{name}.{call}", it)
            if _waits_for_nothing(kind, call):
                lines += ["", "With asyncio it is not awaited."]
    return lines


def _waits_for_nothing(kind: type, call: str) -> bool:
    """Whether asyncio's class of that name has the call as a plain function."""
    if ".blocking" not in kind.__module__ or call == "__init__":
        return False
    twin = getattr(import_module(kind.__module__.replace(".blocking", ".aio")), kind.__name__, None)
    it = getattr(twin, call, None)
    return isfunction(it) and not (iscoroutinefunction(it) or isasyncgenfunction(it))


def _said_of(it: Callable[..., object]) -> str:
    """What a call says of itself; where it only names asyncio's, what that one says."""
    if it.__doc__ is None:
        return ""  # a constructor that was made of fields: the class says what they are
    said = getdoc(it) or ""
    named = re.search(r"(?:see|as) `aio\.(\w+)(?:\.(\w+))?`", said)
    if named is not None:
        twin = getattr(import_module("roost.client.series.aio"), named[1])
        said = getdoc(getattr(twin, named[2] or it.__name__) if isclass(twin) else twin) or ""
        said = said.replace("an `async with`", "a `with`")
    return re.sub(r"as `Way\.\w+`", "nobody answered, or a member said no", said)


def function_lines(shown: str, it: Callable[..., object]) -> list[str]:
    """One call: how it is made, and what it does."""
    said = re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])", "", str(signature(it)))
    said = re.sub(r"<object object at \w+>", "...", said)
    said = re.sub(r"<function (\w+) at \w+>", r"\1", said)
    said = re.sub(r"<class '(\w+)'>", r"\1", said)
    said = said.replace("(self, ", "(").replace("(self)", "()")
    # The signature behind overloads has to take what each of them takes; people give it a text.
    said = said.replace("once: Any = None", "once: str | None = None")
    # Types that are named before they are known stand in quotes; texts that are defaults keep them.
    said = re.sub(r"= (b?)'([^']*)'|'([^']*)'", _unquoted, said)
    return ["", f"### {shown}", "", f"```python\n{shown}{said}\n```", "", _said_of(it)]


def _unquoted(found: re.Match[str]) -> str:
    return f'= {found[1]}"{found[2]}"' if found[3] is None else found[3]


def database_page() -> str:
    """What a program has that opens a member, and what it is told; asyncio's has the same."""
    from roost.database import Annotation, Change, DerivedStatus, Limits, MemberInfo, Operation, Operations, Overrun
    from roost.database import Status, Transaction, WritableTree, derived, events
    from roost.counters.blocking import Batch, Counters, Later
    from roost.opening import open as opened
    from roost.program.blocking import Database

    lines = [
        MADE,
        "# A member in a program",
        "",
        "`roost.open`, and what it gives. `roost.aio.open` has the same for asyncio: each call is awaited where nothing else is said, each generator and each",
        "iterator is an `async for`, each `with` an `async with`. [How to use it](../how-to/embed.md), and",
        "[to be told what changes](../how-to/observe.md), and [to have trees derived](../how-to/derive.md).",
        "For annotations: what `roost.open` gives is a `roost.Database`; all other types are in `roost.database.blocking`, as `Tree[str, int]`.",
        "Those of asyncio are in `roost.aio`: `roost.aio.Database`, `roost.aio.Tree[str, int]`.",
    ]
    lines += function_lines("roost.open", opened)
    blocking = import_module("roost.database.blocking")
    between = {"Derivable", "Observable", "Reads", "open_database"}
    for name in sorted(set(blocking.__all__) - between, key=lambda it: (it != "Database", it)):
        lines += class_lines(getattr(blocking, name), "roost.database")
    lines += class_lines(import_module("roost.program.blocking.series").Series, "roost.program")
    lines += class_lines(Operations, "roost.database")
    lines += class_lines(Operation, "roost.database", without=NOT_MADE | {"encode", "result", "run", "invoke"})
    for kind in (Transaction, WritableTree):
        lines += class_lines(kind, "roost.database", without=NOT_MADE)
    for kind in (Limits, Status, MemberInfo):
        lines += class_lines(kind, "roost.database")
    lines += ["", "### Database.counters", "", getdoc(Database.counters) or ""]
    for kind in (Counters, Batch, Later):
        lines += class_lines(kind, "roost.counters")
    lines += function_lines("roost.derived", derived)
    lines += class_lines(DerivedStatus, "roost.database")
    for kind in (Change, Annotation, Overrun):
        lines += class_lines(kind, "roost.database")
    lines += ["", "## Events", "", "`roost.events`, what `db.events()` tells."]
    for name in sorted(set(events.__all__) - {"Event", "Overrun"}):
        it = getattr(events, name)
        fields = ", ".join(f"{field.name}: {_type_name(field.type)}" for field in dataclasses.fields(it))
        lines += ["", f"### {name}", "", f"```python\n{name}({fields})\n```", "", getdoc(it) or ""]
    return "\n".join(lines) + "\n"


def _type_name(kind: object) -> str:
    return kind.__name__ if kind in (int, str, float, bool) else str(kind)


def objects_page() -> str:
    """Every class and call of replicated objects; asyncio's have the same."""
    lines = [
        MADE,
        "# Replicated objects",
        "",
        "`db.objects` of `roost.open`, and what it makes. Those of `roost.aio.open` have the same for asyncio: each call is awaited where nothing else is said,",
        "each generator is an `async for`, each `with` an `async with`. [How to use them](../how-to/objects.md).",
        "For annotations all of these types are in `roost.objects`, as `roost.objects.Dict[str, int]`; asyncio's in `roost.objects.aio`.",
        "",
        "Where a call says what it costs, one round trip is from here to the member that leads, and from there to a majority.",
    ]
    blocking = import_module("roost.objects.blocking")
    from roost.objects import Context, Machine, MachineStatus, SnapshotPolicy, command, query

    between = {"Database", "Handle", "Keyed", "Turned", "open_database"}
    for name in sorted(set(blocking.__all__) - between, key=lambda it: (it != "Objects", it)):
        lines += class_lines(getattr(blocking, name), "roost.objects")
    lines += function_lines("Database.machine", blocking.Database.machine)
    for kind in (Machine, Context, SnapshotPolicy, MachineStatus):
        lines += class_lines(kind, "roost.objects")
    for it in (command, query):
        lines += function_lines(f"roost.{it.__name__}", it)
    return "\n".join(lines) + "\n"


def testing_page() -> str:
    """What tests of other people's programs are written with."""
    from roost.sim import Broken, Checked, Session, check
    from roost.testing import DictModel
    from roost.testing.local import LocalCluster, LocalMember
    from roost.testing.patience import wait_until
    from roost.testing.ports import free_ports

    lines = [
        MADE,
        "# For tests",
        "",
        "[How to use it](../how-to/test.md). `roost_server` is a `LocalMember`, `roost_cluster(3)` a `LocalCluster`, `roost_sim` is",
        "`roost.sim.check`, `roost_db` a `roost.Database`. For annotations: `roost_cluster: Callable[..., roost.testing.LocalCluster]`,",
        "`roost_sim: Callable[..., roost.sim.Checked]`.",
        "",
        "## The simulator",
    ]
    lines += function_lines("roost.sim.check", check)
    lines += class_lines(Checked, "roost", without=("add",))
    for kind in (Session, Broken, DictModel, LocalMember, LocalCluster):
        lines += class_lines(kind, "roost", without=NOT_MADE)
    lines += ["", "## For processes of your own"]
    lines += function_lines("roost.testing.ports.free_ports", free_ports)
    lines += function_lines("roost.testing.patience.wait_until", wait_until)
    return "\n".join(lines) + "\n"


def differences_page() -> str:
    """Where Roost answers another way than etcd; held to the tests that compare both."""
    sys.path.insert(0, str(ROOT))
    explained = import_module("tests.integration.explained").EXPLAINED
    lines = [
        MADE,
        "# Differences from etcd 3.5",
        "",
        "`tests/integration/test_twins.py` asks Roost and etcd 3.5.1 the same over every RPC and the JSON gateway, and",
        "`tests/etcd/test_differential.py` 3,000 random requests to the KV service; `tests/integration/test_edges.py` has every",
        "field of every message at its edges, in sequences, to leaders and followers. Answers are compared field by field.",
        "`tests/etcd/v2/test_differential.py` sends 2,500 random requests and 400 watches to v2 of both,",
        "`tests/integration/test_v2_differential.py` 300 and 12 to their ports. What is known to differ:",
        "",
        "| request | why |",
        "|---|---|",
        *(f"| {request} | {reason} |" for request, reason in explained.items()),
    ]
    return "\n".join(lines) + "\n"


PAGES = {
    "differences.md": differences_page,
    "settings.md": settings_page,
    "cli.md": cli_page,
    "metrics.md": metrics_page,
    "http.md": http_page,
    "errors.md": errors_page,
    "client.md": client_page,
    "series-client.md": series_page,
    "testing.md": testing_page,
    "database.md": database_page,
    "objects.md": objects_page,
    "consensus.md": consensus_page,
    "journal.md": journal_page,
}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page())
    (ROOT / "deploy" / "roost.yaml").write_text(sample_config())
