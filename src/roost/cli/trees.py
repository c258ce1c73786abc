"""`roost trees`, `roost dump`, `roost drop`: what a directory holds, and what it need not hold."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path

import click

from roost.cli.shared import say_json
from roost.database.catalogue import derived_rows_of, has_derived, printable, rows_of
from roost.database.counting import count_in
from roost.database.environment import drop_offline, open_derived_file
from roost.errors import RoostError
from roost.member import open_store_file
from roost.store import UnknownTree

_DATA_DIR = click.argument("data_dir", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.command()
@_DATA_DIR
@_JSON
def trees(data_dir: Path, *, as_json: bool) -> None:
    r"""List the trees in the directory of a member: keys, bytes, pages, types, purposes.

    It shows what is in the store's file: of a member that runs, all but the last seconds.  Pages
    are as many as the rows fill; written at random they take up to twice that.  Trees without types
    are the database's own, or etcd's; those that the member derives come last.

    \b
    Example:
        roost trees default.roost
    """
    try:
        counted = count_in(data_dir)
    except RoostError as error:
        raise click.ClickException(str(error)) from error
    found = counted.trees
    if as_json:
        for it in found:
            say_json(asdict(it))
        return
    width = max(4, *(len(it.name) for it in found))
    click.echo(f"{'NAME':<{width}}  {'KEYS':>10}  {'BYTES':>12}  {'PAGES':>8}  TYPES, PURPOSE")
    for it in found:
        kinds = f"{it.keys} -> {it.values}" if it.keys else ""
        said = "; ".join(filter(None, (kinds, printable(it.purpose))))
        counts = f"{it.key_count:>10}  {it.content_bytes:>12}  {it.page_count:>8}"
        click.echo(f"{it.name:<{width}}  {counts}  {said}".rstrip())
    click.echo(f"as of entry {counted.index}", err=True)


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
        with open_derived_file(data_dir) as derived, open_store_file(data_dir) as file:
            if derived is not None and has_derived(derived, tree):
                rows = derived_rows_of(derived, tree)
            else:
                rows = rows_of(file.view, tree)
            for key, value in islice(rows, limit):
                if as_json:
                    say_json({"key": key, "value": value})
                else:
                    click.echo(f"{key}\t{value}")
    except UnknownTree as error:
        text = f"{error}: `roost trees {data_dir}` lists those that there are"
        raise click.ClickException(text) from error
    except RoostError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@_DATA_DIR
@click.argument("tree")
def drop(data_dir: Path, tree: str) -> None:
    r"""Drop the derived tree TREE of a member that does not run.

    It is gone at once; what it took is given back while the member runs.  A program that asks for
    it again has it made anew.  Trees that are not derived are the cluster's, and are not dropped.

    \b
    Example:
        roost drop default.roost ix_people_by_city
    """
    try:
        drop_offline(data_dir, tree)
    except RoostError as error:
        raise click.ClickException(str(error)) from error
