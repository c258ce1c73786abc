"""`roost repair`: what is damaged in a member's directory, and what it costs to go on without."""

from pathlib import Path

import click

from roost.cli.shared import say_json
from roost.errors import RoostError
from roost.member import Loss, accept_loss, inspect


@click.command()
@click.argument("data_dir", type=click.Path(path_type=Path))
@click.option(
    "--accept-loss-from",
    "first_lost",
    type=int,
    metavar="INDEX",
    help="Drop every journal entry from INDEX on, for good; INDEX is what `roost repair` named.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def repair(data_dir: Path, first_lost: int | None, *, as_json: bool) -> None:
    r"""Say what is damaged in the directory of a member that is not running.

    A member with peers repairs itself: start it.  One without peers does not start when
    something is damaged that was acknowledged; here is what would be lost.

    \b
    Example:
        roost repair default.roost
        roost repair default.roost --accept-loss-from 1234
    """
    try:
        if first_lost is not None:
            accept_loss(data_dir, first_lost)
        found = inspect(data_dir)
    except RoostError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        say_json(_row(found))
        return
    for line in _lines(found, data_dir):
        click.echo(line)


def _row(found: Loss) -> dict[str, object]:
    return {
        "member_id": f"{found.member_id:x}",
        "store_holds": found.held_index,
        "journal_first": found.first_index,
        "journal_last": found.last_known,
        "damaged": list(found.damaged),
        "first_lost": found.first_lost,
        "lost_count": found.lost_count,
        "is_tail_lost": found.is_tail_lost,
        "fact": found.fact,
    }


def _lines(found: Loss, data_dir: Path) -> list[str]:
    lines = [f"The store of member {found.member_id:x} holds everything up to {found.held_index}."]
    if found.is_tail_lost:
        return [
            *lines,
            f"The journal cannot be read to its end: {found.fact}.",
            "Nobody can say how many entries there were behind that; some may be acknowledged.",
            f"To go on without them: roost repair {data_dir} --accept-loss-from 0",
        ]
    if not found.damaged:
        return [*lines, f"The journal is whole, up to {found.last_known}."]
    return [
        *lines,
        f"Damaged in the journal: {', '.join(map(str, found.damaged))}.",
        f"Without peers, entries {found.first_lost} to {found.last_known} would be dropped;",
        f"that is {found.lost_count} in all, and some may be acknowledged:",
        f"    roost repair {data_dir} --accept-loss-from {found.first_lost}",
        "A member with peers is repaired by them when it starts, and loses nothing.",
    ]
