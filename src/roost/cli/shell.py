"""`roost shell`: commands line by line, with history and completion; who we are is said once.

Each line is a command line without `roost`, and runs as one: by a process of its own, which is a
fork of this one with all that commands need loaded, so it begins at once; it may be interrupted,
crash or leave, and the shell goes on.  This process itself never speaks to a server, since nothing
of gRPC survives a fork.

History is kept in a file that only its owner reads; a line that begins with a space is not, as in
other shells.  Without a terminal the lines are a script: nothing is asked, and the exit code is
that of the last line that failed; `put` without a value, and `txn`, read all that follows them.
"""

import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import click

from roost.cli.exits import DONE, EXIT_USAGE
from roost.cli.shared import client_options, credentials
from roost.client import Credentials

_LINES_MAX = 2000
# Keys that are offered for completion, and how long a member may take to say them.
_KEYS_MAX, _KEYS_S = 50, "1"
_ENDS = ("exit", "quit")
# What cannot be run here: it is for processes of its own, or is this.
_NOT_HERE = ("shell", "serve", "completion")
# Commands whose words are keys.
_OF_KEYS = ("get", "put", "del", "watch")
_NEEDED = ("roost.client", "roost.client.blocking", "roost.cli.kv", "roost.cli.get")


@click.command()
@client_options
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where lines are remembered; ~/.roost_history where nobody says so.",
)
def shell(endpoints: str, timeout_s: float, history: Path | None, *, as_json: bool) -> None:
    r"""Read commands, line by line, with history and completion, and run them.

    All commands of a client are there, and `txn` asks for its three parts.  Endpoints, user and
    certificates are those of the shell, unless a line says others.  Of lines from a pipe, `txn` and
    a `put` without a value take all that follow.

    \b
    Example:
        roost shell --endpoints 127.0.0.1:2379
        printf 'put a 1\nget a\n' | roost shell
    """
    if as_json:
        raise click.UsageError("--json is said with each command")
    _tell_children(endpoints, credentials())
    for name in _NEEDED:
        import_module(name)
    from roost.cli.main import main

    if sys.stdin.isatty():
        _converse(main, history or Path.home() / ".roost_history", timeout_s)
        return
    sys.exit(_run_script(main, timeout_s))


def _tell_children(endpoints: str, who: Credentials) -> None:
    """What is said once; commands read these variables where they have no option of the name."""
    os.environ["ROOST_ENDPOINTS"] = endpoints
    if who.user:
        os.environ["ROOST_USER"] = f"{who.user}:{who.password}"
    for name, path in (("CACERT", who.ca_file), ("CERT", who.cert_file), ("KEY", who.key_file)):
        if path:
            os.environ[f"ROOST_{name}"] = path


def _run_script(main: click.Group, timeout_s: float) -> int:
    code = DONE
    # Not by the buffer of a file: `txn` and `put` read what follows their line.
    while line := _read_line():
        words = _words_of(line)
        if words and words[0] in _ENDS:
            break
        if words is None:
            code = EXIT_USAGE
        elif words:
            code = run_line(main, words, timeout_s) or code
    return code


def _read_line() -> str:
    """The next line, byte by byte, so that what follows is left to who reads it."""
    line = bytearray()
    while byte := os.read(sys.stdin.fileno(), 1):
        line += byte
        if byte == b"\n":
            break
    return line.decode(errors="surrogateescape")


def _words_of(line: str) -> list[str] | None:
    """The words of a line, as a shell has them; None when it is none, which is said."""
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        click.echo(f"Error: {error}", err=True)
        return None


def run_line(main: click.Group, words: Sequence[str], timeout_s: float) -> int:
    """Run a command in a process of its own, and return how it ended."""
    if words[0] == "help":
        words = [*words[1:], "--help"]
    if words[0] in _NOT_HERE:
        click.echo(f"Error: `roost {words[0]}` is for a shell of your system", err=True)
        return EXIT_USAGE
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = os.fork()
        if not child:
            signal.signal(signal.SIGINT, before)
            _become(main, _with_timeout(main, words, timeout_s))
        _, status = os.waitpid(child, 0)
    finally:
        signal.signal(signal.SIGINT, before)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _with_timeout(main: click.Group, words: Sequence[str], timeout_s: float) -> list[str]:
    """The words with the shell's time for a call, where the command has such an option."""
    command, rest = _command_of(main, words)
    takes_time = command is not None and any("--timeout" in it.opts for it in command.params)
    if not takes_time or any(it.split("=")[0] == "--timeout" for it in words):
        return list(words)
    head = list(words[: len(words) - len(rest)])
    return [*head, f"--timeout={timeout_s}", *rest]


def _command_of(
    main: click.Group, words: Sequence[str]
) -> tuple[click.Command | None, Sequence[str]]:
    """The command that a line begins with, and the words behind its name."""
    command: click.Command | None = main
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        command = command.get_command(click.Context(command), rest.pop(0))
    return command, rest


def _become(main: click.Group, words: Sequence[str]) -> None:
    """Be the command, and end as it does; nothing of the shell goes on in this process."""
    code: object = 1
    try:
        main.main(args=list(words), prog_name="roost")
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - whatever it is, it is said, and is this process's last
        import traceback

        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            code = 1
        os._exit(code if isinstance(code, int) else bool(code))


def _converse(main: click.Group, history: Path, timeout_s: float) -> None:
    """With somebody who sits there, until he ends it."""
    import readline

    _remember(history)
    readline.set_completer(_completer(main))
    readline.set_completer_delims(" \t\n")
    readline.parse_and_bind("tab: complete")
    click.echo("commands of roost, without its name; `help` shows them, `exit` ends")
    while True:
        try:
            line = input("roost> ")
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
            continue
        if line.startswith(" "):
            readline.remove_history_item(readline.get_current_history_length() - 1)
        words = _words_of(line)
        if words and words[0] in _ENDS:
            return
        if words:
            run_line(main, words, timeout_s)


def _remember(history: Path) -> None:
    """Have lines of before, and keep those of now."""
    import atexit
    import readline

    try:
        os.close(os.open(history, os.O_CREAT | os.O_RDWR, 0o600))
        readline.read_history_file(history)
    except OSError as error:
        click.echo(f"lines are not remembered: {error}", err=True)
        return
    readline.set_history_length(_LINES_MAX)
    atexit.register(readline.write_history_file, history)


def _completer(main: click.Group) -> Callable[[str, int], str | None]:
    """What readline asks: the n-th thing that a word may become."""
    found: list[str] = []

    def complete(text: str, position: int) -> str | None:
        import readline

        if not position:
            line = readline.get_line_buffer()[: readline.get_begidx()]
            found[:] = candidates(main, line, text, _keys_under)
        return found[position] if position < len(found) else None

    return complete


def candidates(
    main: click.Group, before: str, text: str, keys_under: Callable[[str], Sequence[str]]
) -> list[str]:
    """What a word may become behind `before`: commands, options, keys."""
    try:
        words = shlex.split(before)
    except ValueError:
        return []  # it ends in the middle of quotes
    command, rest = _command_of(main, words)
    if command is None:
        return []
    if isinstance(command, click.Group) and not rest:
        names = command.list_commands(click.Context(command))
        names = [it for it in names if command is not main or it not in _NOT_HERE]
        if command is main:
            names += ["help", *_ENDS]
        return [f"{it} " for it in sorted(names) if it.startswith(text)]
    if text.startswith("-"):
        options = {name for it in command.params for name in it.opts if name.startswith("--")}
        return [f"{it} " for it in sorted(options) if it.startswith(text)]
    is_key = words[0] in _OF_KEYS and not any(not it.startswith("-") for it in rest)
    return [shlex.quote(it) for it in keys_under(text)] if is_key else []


def _keys_under(text: str) -> list[str]:
    """Some keys that begin with a text, asked by a process of its own; none when that fails."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writer, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        from roost.cli.main import main

        words = ["get", text, "--prefix", "--keys-only", "--json", f"--limit={_KEYS_MAX}"]
        _become(main, [*words, f"--timeout={_KEYS_S}"])
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    import msgspec

    rows = (msgspec.json.decode(it, type=dict[str, object]) for it in said.splitlines())
    return [key for it in rows if isinstance(key := it.get("key"), str)]
