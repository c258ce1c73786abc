"""The command `roost series`, of which the others are."""

import click

from roost.cli.series import asking, files, keeping


@click.group()
def series() -> None:
    """Add points to time series, ask for them, and keep them for as long as they are wanted."""


for command in (
    asking.list_series,
    keeping.tag,
    keeping.dedup,
    keeping.add,
    asking.query,
    asking.plot,
    asking.tail,
    keeping.delete,
    keeping.jobs,
    keeping.retain,
    keeping.note,
    asking.stats,
    files.import_points,
    files.export,
):
    series.add_command(command)
