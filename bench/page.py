"""`python -m bench.page`: the page and the charts of what was measured, from the raw results alone.

    bench/results/against-etcd.json    `python -m bench --into` that file
    bench/results/wan.json             `python -m bench.wan --into` that file

    docs/speed.md                      the page: what stands between its marks; the rest is prose
    docs/images/speed.svg              how many times as fast as etcd, a bar a row
    docs/images/wan.svg                batch x window over a long way

A row that the raw results do not have is named as not measured; one that was taken by few requests,
or while others wanted the machine, is a trial, and the page says so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench import charts, growing
from bench.options import parser_of, start
from bench.rows import RATE, Results, Row, Run, load_results
from bench.wan import ROUND_TRIP_S, Point, load_points
from bench.workloads import WORKLOADS
from roost.member import MemberConfig

ROOT = Path(__file__).parent.parent
RAW, RAW_WAN = ROOT / "bench/results/against-etcd.json", ROOT / "bench/results/wan.json"
PAGE = ROOT / "docs/speed.md"
CHART, CHART_WAN = ROOT / "docs/images/speed.svg", ROOT / "docs/images/wan.svg"
_MARKED = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
# All that there is to measure, by row and members, in the order of the page.
EXPECTED = tuple(
    dict.fromkeys(
        [(it.row, 3) for it in WORKLOADS if 3 in it.members]
        + [("stm", 3), *((it, 3) for it in growing.ROWS), ("watch", 1)]
        + [(it.row, 1) for it in WORKLOADS if 1 in it.members]
    )
)


def title(row: Row) -> str:
    """What a row is, in words."""
    load = f", {row.load} at once" if row.unit == RATE and "of" not in row.load else ""
    return f"{row.what}{load}" + (", one member" if row.members == 1 else "")


def figure(row: Row, figures: Sequence[float]) -> str:
    """The median of the rounds, with its unit."""
    middle = median(figures)
    return f"{middle:,.0f}/s" if row.unit == RATE else f"{middle:.2f} {row.unit}"


def in_order(results: Results) -> Results:
    """Rows in the order of EXPECTED, whenever they were taken."""
    place = {it: number for number, it in enumerate(EXPECTED)}
    rows = sorted(results.rows, key=lambda it: place.get((it.row, it.members), len(place)))
    return replace(results, rows=tuple(rows))


def _rows_of(results: Results) -> str:
    if not results.rows:
        return "None yet."
    lines = [
        "| what | Roost | etcd | times as good | processor, µs a request: Roost, etcd |",
        "|---|---|---|---|---|",
    ]
    for row in results.rows:
        ratio = f"{row.ratio:.2f}" if row.ratio >= 1 else f"**{row.ratio:.2f}**"
        cpu = "" if row.roost_cpu_us is None else f"{row.roost_cpu_us:.0f}, {row.etcd_cpu_us:.0f}"
        ours, theirs = figure(row, row.roost), figure(row, row.etcd)
        lines.append(f"| {title(row)} | {ours} | {theirs} | {ratio} | {cpu} |")
    return "\n".join(lines)


def _summary(results: Results) -> str:
    if not results.rows:
        return (
            "**No row has been taken yet** on a machine that was quiet for as long as that takes."
        )
    ahead = [it for it in results.rows if it.ratio >= 1]
    behind = sorted((it for it in results.rows if it.ratio < 1), key=lambda it: it.ratio)
    said = f"Roost is ahead of etcd in {len(ahead)} of {len(results.rows)} rows."
    if not behind:
        return f"{said} It is behind in none."
    where = "\n".join(f"* {title(it)}: {it.ratio:.2f}" for it in behind)
    return f"{said}\n\n**Where it is not ahead**, the worst first:\n\n{where}"


def _gaps(results: Results) -> str:
    held = {(it.row, it.members) for it in results.rows}
    missing = [
        f"`{row}`" + (" (one member)" if size == 1 else "")
        for row, size in EXPECTED
        if (row, size) not in held
    ]
    return f"\nNot measured yet: {', '.join(missing)}.\n" if missing else ""


def _trials(results: Results) -> str:
    trials = [it for it in results.runs if it.is_trial]
    if not trials:
        return ""
    loads = ", ".join(f"{it.load:g}" for it in trials)
    return (
        "**Trials, to be taken again:** few requests or rounds, or other processes wanted\n"
        f"the processors as well (load {loads} when they began). Ratios of such runs are off by\n"
        "a third and more, either way.\n\n"
    )


def _run_line(run: Run) -> str:
    sources = f"`{run.commit}`, {run.tree}; etcd {run.etcd}"
    machine = f"{run.machine}, {run.cores} cores; {run.python}"
    return f"| {run.date} | {sources} | {machine} | `{run.command}` | {run.load:g} |"


def _runs(results: Results) -> str:
    if not results.runs:
        return ""
    head = "| date | sources | machine | command | load before |\n|---|---|---|---|---|\n"
    return head + "\n".join(_run_line(it) for it in results.runs)


def _wan_table(points: Sequence[Point]) -> str:
    windows = sorted({it.window for it in points})
    lines = [
        "| puts an entry, at most | " + " | ".join(f"window {it}" for it in windows) + " |",
        "|---|" + "---|" * len(windows),
    ]
    for batch in sorted({it.batch for it in points}):
        rates = [f"{it.puts_per_s:,.0f}" for it in points if it.batch == batch]
        lines.append(f"| {batch} | " + " | ".join(rates) + " |")
    return "\n".join(lines)


def _wan_words(points: Sequence[Point]) -> str:
    fields = MemberConfig.__dataclass_fields__
    batch, window = fields["batch_count_max"].default, fields["batch_inflight_max"].default
    shipped = next(it for it in points if (it.batch, it.window) == (batch, window))
    alone = next(it for it in points if (it.batch, it.window) == (1, 1))
    reached = min(it.puts_per_s / it.bound_per_s for it in points)
    return (
        f"With {ROUND_TRIP_S * 1000:.0f} ms for the way there and back, Roost as it is shipped\n"
        f"(up to {batch} puts in an entry, {window} entries on their way) has "
        f"{shipped.puts_per_s:,.0f} puts a second,\n"
        f"{shipped.puts_per_s / alone.puts_per_s:,.0f} times what one put at a time has. Every "
        f"point reaches {100 * reached:.2f} % or more of what the way allows."
    )


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """The page with what stands between its marks made anew.

    Raises:
        KeyError: it has a mark of another name.

    """

    def make(found: re.Match[str]) -> str:
        return f"{found[1]}{blocks[found[2]].strip()}\n{found[3]}"

    return _MARKED.sub(make, text)


def blocks_of(results: Results, points: Sequence[Point]) -> dict[str, str]:
    """What the page has of what was measured, by the names of its marks."""
    return {
        "summary": _trials(results) + _summary(results) + "\n" + _gaps(results),
        "rows": _rows_of(results),
        "runs": _runs(results),
        "wan": _wan_words(points),
        "wan-table": _wan_table(points),
    }


def made() -> dict[Path, str]:
    """The page and the charts, of what was measured."""
    results, points = in_order(load_results(RAW)), load_points(RAW_WAN)
    return {
        PAGE: filled(PAGE.read_text(), blocks_of(results, points)),
        CHART: charts.bars([(title(it), it.ratio) for it in results.rows]),
        CHART_WAN: charts.curves(points),
    }


def main() -> None:
    """Write them."""
    parser_of("bench.page", __doc__).parse_args()
    for path, text in made().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    start(main)
