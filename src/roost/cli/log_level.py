"""`roost log-level`: how much members say in their logs, changed while they run."""

import json
import sys

import click

from roost.cli.exits import EXIT_FAILED
from roost.cli.pages import pages_of, refused
from roost.cli.shared import Failed, client_options, say_json

_TARGET = "/config/local/log"
_JSON = {"content-type": "application/json"}


@click.command("log-level")
@click.argument("level", default="")
@click.option("--module", default="", help="One module and all below it, as roost.raft.")
@client_options
def log_level(level: str, endpoints: str, timeout_s: float, module: str, *, as_json: bool) -> None:
    r"""Say how much each endpoint logs, or have it log from LEVEL on, until it is restarted.

    LEVEL is debug, info, warn, error or fatal; `default` takes back what was said of a module.

    \b
    Example:
        roost log-level debug --module roost.member.pipeline
        roost log-level default --module roost.member.pipeline
    """
    pages, is_complete = pages_of(endpoints, timeout_s), True
    asked: dict[str, object] = {"Level": level}
    if module:
        asked["Module"] = module
    for name, one in pages.at_each():
        try:
            who = one.bearer()
            if level:
                said = one.ask("PUT", _TARGET, json.dumps(asked).encode(), {**_JSON, **who})
            else:
                said = one.ask("GET", _TARGET, None, who)
            if not said.is_good:
                raise refused(said)
        except Failed as error:
            is_complete = False
            _say(name, {"error": error.message}, as_json=as_json)
            continue
        _say(name, json.loads(said.body) if said.body else asked, as_json=as_json)
    if not is_complete:
        sys.exit(EXIT_FAILED)


def _say(name: str, row: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        say_json({"endpoint": name, **row})
    elif "error" in row:
        click.echo(f"{name}: {row['error']}", err=True)
    else:
        of = row.get("Module", "all")
        click.echo(f"{name}: {of}={row['Level']}")
        modules = row.get("Modules")
        for module, level in sorted(modules.items()) if isinstance(modules, dict) else ():
            click.echo(f"{name}: {module}={level}")
