"""What all commands of a client share: options, a client, one way to print JSON."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from roost.client import Client, ClientError

_endpoints = click.option(
    "--endpoints",
    "--endpoint",
    default="127.0.0.1:2379",
    show_default=True,
    envvar=["ROOST_ENDPOINTS", "ETCDCTL_ENDPOINTS"],
    help="Members to ask, comma-separated.",
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_timeout = click.option(
    "--timeout", "timeout_s", default=5.0, show_default=True, help="Seconds for one call."
)


def client_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that every client command has."""
    return _endpoints(_json(_timeout(command)))


@contextmanager
def connect(endpoints: str, timeout_s: float) -> Iterator[Client]:
    """A client whose errors become one line and exit code 1."""
    try:
        with Client(endpoints.split(","), timeout_s=timeout_s) as client:
            yield client
    except ClientError as error:
        raise click.ClickException(str(error)) from error


def say_json(row: dict[str, Any]) -> None:  # Any: what JSON can hold
    """Print one object on a line."""
    click.echo(msgspec.json.encode(row).decode())
