"""What all commands of a client share: options, a client, one way to print JSON."""

import base64
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import click
import msgspec

from roost.cli.exits import EXIT_FAILED, EXIT_USAGE
from roost.cli.interrupts import interruptible, is_interruptible
from roost.client import Client, ClientError, Credentials, Item
from roost.errors import CallerFault, RoostError

# Where the signed numbers of requests end.
_SIGNED_END = 1 << 63


def _endpoints(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--endpoints",
        "--endpoint",
        default=default,
        show_default=bool(default),
        envvar=["ROOST_ENDPOINTS", "ETCDCTL_ENDPOINTS"],
        help="Members to ask, comma-separated: host:port, https:// or unix:// URLs.",
    )


_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_timeout = click.option(
    "--timeout", "timeout_s", default=5.0, show_default=True, help="Seconds for one call."
)


def _remember(ctx: click.Context, parameter: click.Parameter, value: str) -> None:
    """Keep what says who we are in the context: commands need not know of it."""
    assert parameter.name is not None, "an option has a name"
    ctx.meta[f"roost.{parameter.name}"] = value


def _credential(
    name: str, field: str, text: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    variable = name.removeprefix("--").replace("-", "_").upper()
    return click.option(
        name,
        field,
        default="",
        envvar=[f"ROOST_{variable}", f"ETCDCTL_{variable}"],
        expose_value=False,
        callback=_remember,
        help=text,
    )


_CREDENTIALS = (
    _credential(
        "--user", "user_name", "Who we are: NAME, and we ask for the password, or NAME:PASSWORD."
    ),
    _credential(
        "--cacert", "ca_file", "Whose certificates servers must have; endpoints speak TLS then."
    ),
    _credential("--cert", "cert_file", "Our certificate."),
    _credential("--key", "key_file", "Its key."),
)


def client_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that every client command has."""
    return _with_options(command, "127.0.0.1:2379")


def optional_client_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the same options; where nobody names endpoints there are none."""
    return _with_options(command, "")


def _with_options(command: Callable[..., None], default: str) -> Callable[..., None]:
    command = _endpoints(default)(_json(_timeout(command)))
    for option in reversed(_CREDENTIALS):
        command = option(command)
    return command


def credentials() -> Credentials:
    """Who we are, as the options of this command say it; asks for a password that is missing."""
    said = click.get_current_context().meta
    user, colon, password = said.get("roost.user_name", "").partition(":")
    if user and not colon:
        password = ask_password(f"Password of {user}", option="--user NAME:PASSWORD")
    return Credentials(
        ca_file=said.get("roost.ca_file", ""),
        cert_file=said.get("roost.cert_file", ""),
        key_file=said.get("roost.key_file", ""),
        user=user,
        password=password,
    )


def ask_password(text: str, *, option: str, twice: bool = False) -> str:
    """Ask whoever sits there for a password; else it is the next line of standard input.

    `option` is how else it can be given.
    """
    if _has_terminal():
        said: str = click.prompt(text, hide_input=True, confirmation_prompt=twice, err=True)
        return said
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise click.UsageError(
            f"nobody is there to ask for a password: give it with {option}, or on standard input"
        )
    return line


def _has_terminal() -> bool:
    if sys.stdin.isatty():
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


class Failed(click.ClickException):
    """Ends the command with a sentence, and with a code that says what kind of failure it is."""

    def __init__(self, text: str, code: int) -> None:
        """Say both."""
        super().__init__(text)
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click says so to all instances alike
        """What click ends the process with."""
        return self.code


def failed(error: RoostError | OSError) -> Failed:
    """An error of a client as the end of a command."""
    # Words for what goes wrong are loaded when something does.
    from roost.cli.troubles import Trouble, trouble_of, trouble_of_file

    if isinstance(error, ClientError):
        said = click.get_current_context().meta
        speaks_tls = bool(said.get("roost.ca_file") or said.get("roost.cert_file"))
        trouble = trouble_of(error, speaks_tls=speaks_tls)
    elif isinstance(error, OSError):
        trouble = trouble_of_file(error)
    else:
        is_theirs = isinstance(error, CallerFault)
        trouble = Trouble(str(error), EXIT_USAGE if is_theirs else EXIT_FAILED)
    return Failed(trouble.text, trouble.code)


@contextmanager
def connect(endpoints: str, timeout_s: float) -> Iterator[Client]:
    """A client whose errors become one line and an exit code (`roost.cli.exits`)."""
    try:
        who = credentials()
        with ExitStack() as stack:
            if not is_interruptible():
                stack.enter_context(interruptible())
            # People see at once what is wrong, and the endpoints are asked in their order.
            client = Client(
                endpoints,
                timeout_s=timeout_s,
                credentials=who,
                retries=False,
                spreads=False,
            )
            yield stack.enter_context(client)
    except (RoostError, OSError) as error:
        raise failed(error) from error


def at_each(
    endpoints: str, timeout_s: float, ask: Callable[[str, Client], None], *, as_json: bool
) -> None:
    """Ask every endpoint by itself; go on past one that fails, and exit with 1 in the end."""
    is_complete = True
    with connect(endpoints, timeout_s) as client:
        for name in client.endpoints:
            try:
                with client.at(name) as one:
                    ask(name, one)
            except ClientError as error:
                is_complete = False
                text = failed(error).message
                if as_json:
                    say_json({"endpoint": name, "error": text})
                else:
                    click.echo(f"{name}: {text}", err=True)
    if not is_complete:
        sys.exit(EXIT_FAILED)


def say_json(row: dict[str, Any]) -> None:  # Any: what JSON can hold
    """Print one object on a line."""
    click.echo(msgspec.json.encode(row).decode())


def say_table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> None:
    """Print rows, the first with the names of the columns, each as wide as what is in it.

    Columns whose position is in `right` are numbers.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            f"{cell:>{width}}" if position in right else f"{cell:<{width}}"
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def size_of(count: int) -> str:
    """Bytes for people: 1.5 MiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f} {unit}" if unit != "B" else f"{count} B"
        size /= 1024
    return f"{size:.1f} TiB"


def text_of(data: bytes) -> str:
    """Bytes for people."""
    return data.decode(errors="backslashreplace")


def escaped(data: bytes) -> bytes:
    r"""Bytes without a NUL: it, and a backslash, are written as in a shell's $'\0'."""
    return data.replace(b"\\", b"\\\\").replace(b"\0", b"\\0")


def bytes_of(text: str) -> bytes:
    """An argument as it was typed, also when that is no text."""
    return text.encode(errors="surrogateescape")


def say_bytes(*parts: bytes, end: bytes = b"\n") -> None:
    """Print a row: as text on a terminal, and elsewhere as the bytes that they are."""
    row = b"\t".join(parts)
    if sys.stdout.isatty():
        click.echo(text_of(row + end), nl=False)
    else:
        sys.stdout.buffer.write(row + end)


def row_of(item: Item) -> dict[str, Any]:  # Any: what JSON can hold
    """A key for programs: text where it is text, base64 beside it where it is not."""
    row: dict[str, Any] = {
        "key": text_of(item.key),
        "value": text_of(item.value),
        "create_revision": item.create_revision,
        "mod_revision": item.mod_revision,
        "version": item.version,
    }
    if item.lease:
        row["lease"] = f"{item.lease:x}"
    for name, data in (("key", item.key), ("value", item.value)):
        try:
            data.decode()
        except UnicodeDecodeError:
            row[f"{name}_base64"] = base64.b64encode(data).decode()
    return row


class _Number(click.types.IntParamType):
    """A whole number that a request can carry."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number: int = super().convert(value, param, ctx)
        if not -_SIGNED_END <= number < _SIGNED_END:
            self.fail(f"{value} is more than 64 bits hold", param, ctx)
        return number


NUMBER = _Number()


def lease_id_of(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int:
    """Read the id of a lease, as `hexadecimal` does; it is a signed number."""
    number = hexadecimal(ctx, parameter, value)
    if not -_SIGNED_END <= number < _SIGNED_END:
        raise click.BadParameter(f"{value!r} is no id of a lease: they end at 7fffffffffffffff")
    return number


def hexadecimal(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int:
    """Read an id in hexadecimal, as all commands print it; 0 when there is none."""
    if value is None:
        return 0
    try:
        number = int(value, 16)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no id: hexadecimal, as lists say") from error
    if not -_SIGNED_END <= number < 2 * _SIGNED_END:
        raise click.BadParameter(f"{value!r} is no id: it has more than 64 bits")
    return number
