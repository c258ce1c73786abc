"""`roost sim`: whole clusters in virtual time, with faults, from a seed."""

import sys
from dataclasses import asdict

import click

from roost.cli.shared import say_json
from roost.sim.campaign import Totals, run_seeds, shrink, simulate, swarm_of


def _parse_seeds(
    _ctx: click.Context, _parameter: click.Parameter, value: str | None
) -> range | None:
    if value is None:
        return None
    first, dots, last = value.partition("..")
    if not dots or not first.isdigit() or not last.isdigit() or int(last) < int(first):
        raise click.BadParameter(f"{value!r} is no range A..B")
    return range(int(first), int(last) + 1)


@click.command()
@click.option("--seed", type=int, help="Run this one, and print its trace.")
@click.option("--seeds", callback=_parse_seeds, metavar="A..B", help="Run these, both included.")
@click.option(
    "--counters",
    type=click.IntRange(0, 100),
    default=0,
    metavar="N",
    help="Have N clients count besides; directories of counters are lost and rolled back then.",
)
@click.option(
    "--v2",
    type=click.IntRange(0, 100),
    default=0,
    metavar="N",
    help="Have N clients change and read etcd's v2 besides; others watch, and fight for a lock.",
)
@click.option("--shrink", "is_shrunk", is_flag=True, help="Make the failing seed's run smaller.")
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object.")
def sim(
    seed: int | None,
    seeds: range | None,
    counters: int,
    v2: int,
    *,
    is_shrunk: bool,
    as_json: bool,
) -> None:
    r"""Run simulated clusters; exit code 1 when a promise was broken.

    The same seed gives the same run, to the byte, on any machine.

    \b
    Example:
        roost sim --seeds 1..200
        roost sim --seed 17
        roost sim --seeds 1..50 --counters 3
        roost sim --seeds 1..50 --v2 3
    """
    if (seed is None) == (seeds is None):
        raise click.UsageError("give --seed or --seeds")
    if seed is not None:
        _run_one(seed, counters, v2, is_shrunk=is_shrunk, as_json=as_json)
        return
    assert seeds is not None, "one of both was given"

    def say(totals: Totals) -> None:
        text = f"{totals.seeds}/{len(seeds)} seeds, {totals.events:,} events, "
        click.echo(f"\r{text}{len(totals.violations)} violations", nl=False, err=True)

    totals = run_seeds(seeds, say, counters=counters, v2=v2)
    click.echo(err=True)
    if as_json:
        say_json(asdict(totals))
    else:
        for name, value in asdict(totals).items():
            if name != "violations":
                click.echo(
                    f"{name}: {value:,.0f}" if isinstance(value, float) else f"{name}: {value:,}"
                )
        click.echo(f"violations: {len(totals.violations)}")
        for result in totals.violations:
            click.echo(f"seed {result.seed}: {result.violation}")
            more = f" --counters {counters}" if counters else ""
            more += f" --v2 {v2}" if v2 else ""
            click.echo(f"  again: roost sim --seed {result.seed}{more}")
    sys.exit(1 if totals.violations else 0)


def _run_one(seed: int, counters: int, v2: int, *, is_shrunk: bool, as_json: bool) -> None:
    if is_shrunk:
        try:
            swarm = shrink(seed, lambda text: click.echo(text, err=True), counters=counters, v2=v2)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        result, trace = simulate(seed, swarm)
    else:
        result, trace = simulate(seed, swarm_of(seed, counters=counters, v2=v2))
    if as_json:
        say_json(asdict(result))
    else:
        click.echo("\n".join(trace))
        for name, value in asdict(result).items():
            click.echo(f"{name}: {value}")
    sys.exit(1 if result.violation else 0)
