"""`roost trees` and `roost dump`: what a directory holds, whether its member runs or not."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path

import click

from roost.cli.shared import say_json
from roost.database.catalogue import rows_of, trees_of
from roost.errors import RoostError
from roost.member import open_store_file

_DATA_DIR = click.argument("data_dir", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.command()
@_DATA_DIR
@_JSON
def trees(data_dir: Path, *, as_json: bool) -> None:
    r"""List the trees in the directory of a member: keys, bytes, types, purposes.

    It shows what is in the store's file: of a member that runs, all but the last seconds.  Trees
    without types are the database's own, or etcd's.

    \b
    Example:
        roost trees default.roost
    """
    try:
        with open_store_file(data_dir) as file:
            found = list(trees_of(file.view))
            index = file.index
    except RoostError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        for it in found:
            say_json(asdict(it))
        return
    width = max(4, *(len(it.name) for it in found))
    click.echo(f"{'NAME':<{width}}  {'KEYS':>10}  {'BYTES':>12}  TYPES, PURPOSE")
    for it in found:
        kinds = f"{it.keys} -> {it.values}" if it.keys else ""
        said = "; ".join(filter(None, (kinds, it.purpose)))
        line = f"{it.name:<{width}}  {it.key_count:>10}  {it.content_bytes:>12}  {said}"
        click.echo(line.rstrip())
    click.echo(f"as of entry {index}", err=True)


@click.command()
@_DATA_DIR
@click.argument("tree")
@click.option("--limit", type=click.IntRange(min=0), help="Rows at most.")
@_JSON
def dump(data_dir: Path, tree: str, limit: int | None, *, as_json: bool) -> None:
    r"""Print the rows of TREE in the directory of a member.

    A key, a tab, and its value, as the types of the tree say; what is not printable is in
    hexadecimal digits.  Of a member that runs, all but the last seconds are there.

    \b
    Example:
        roost dump default.roost accounts --limit 10
    """
    try:
        with open_store_file(data_dir) as file:
            for key, value in islice(rows_of(file.view, tree), limit):
                if as_json:
                    say_json({"key": key, "value": value})
                else:
                    click.echo(f"{key}\t{value}")
    except RoostError as error:
        raise click.ClickException(str(error)) from error
