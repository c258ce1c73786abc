"""A new cluster, of which a member is made: by `roost snapshot restore`, and by `roost import`."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from roost.cli.shared import say_json
from roost.settings.urls import parse_initial_cluster

if TYPE_CHECKING:
    from roost.restoring import Restored

# Half of what an int64 holds, as `roost.etcd` has it; that is not loaded for a list of options.
_RAISED_BY_MAX = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """Which cluster a first member is of, and which of its members this one is."""

    name: str
    members: dict[str, tuple[str, ...]]
    advertised: str
    token: str
    data_dir: Path
    bump_revision: int

    def say(
        self, made: "Restored", *, as_json: bool, more: dict[str, object] | None = None
    ) -> None:
        """Say what was made, and how it is started."""
        if as_json:
            row = {"data_dir": str(made.data_dir), "cluster_id": f"{made.cluster_id:x}"}
            say_json({**row, "member_id": f"{made.member_id:x}", **(more or {})})
            return
        whose = f"of a new cluster {made.cluster_id:x}"
        click.echo(f"Member {self.name!r} ({made.member_id:x}) {whose}")
        words = ["roost", "serve", "--name", self.name, "--data-dir", str(made.data_dir)]
        words += ["--initial-advertise-peer-urls", self.advertised]
        words += ["--listen-peer-urls", self.advertised]
        click.echo(f"Start it with: {shlex.join(words)}")
        click.echo("and the client URLs that it shall have.")


_OPTIONS = (
    click.option("--data-dir", type=click.Path(path_type=Path), help="Default: <name>.roost."),
    click.option("--name", default="default", show_default=True, help="Name of this member."),
    click.option("--initial-cluster", help="All members of the new cluster: name=url,name=url."),
    click.option(
        "--initial-advertise-peer-urls",
        "advertised",
        default="http://localhost:2380",
        show_default=True,
        help="Peer URLs of this member.",
    ),
    click.option("--initial-cluster-token", "token", default="etcd-cluster", show_default=True),
    click.option(
        "--bump-revision",
        "raised_by",
        type=click.IntRange(0, _RAISED_BY_MAX),
        default=0,
        help="Go on so many revisions later, more than were written behind what is restored.",
    ),
    click.option(
        "--mark-compacted",
        is_flag=True,
        help="Count all earlier revisions as compacted; goes with --bump-revision.",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON object a line."),
)


def founding_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what the new cluster is."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def founding_of(
    *,
    data_dir: Path | None,
    name: str,
    initial_cluster: str | None,
    advertised: str,
    token: str,
    raised_by: int,
    mark_compacted: bool,
) -> Founding:
    """What the options say.

    Raises:
        click.UsageError: of two that go together one is missing.
        RoostError: an address is none.

    """
    if bool(raised_by) != mark_compacted:
        raise click.UsageError("--bump-revision and --mark-compacted go together: give both")
    return Founding(
        name=name,
        members=dict(parse_initial_cluster(initial_cluster or f"{name}={advertised}")),
        advertised=advertised,
        token=token,
        data_dir=data_dir or Path(f"{name}.roost"),
        bump_revision=raised_by,
    )
