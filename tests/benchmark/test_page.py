"""The page of figures and its charts come from the raw results, and hide nothing that they say."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bench import charts, page
from bench.rows import KIB, RATE, Results, Row, Run, load_results, save_results
from bench.wan import load_points

RUN = Run(
    id="first",
    date="2026-11-26",
    commit="abcdef0",
    command="python -m bench",
    machine="a machine",
    cores=2,
    python="CPython 3.11",
    tree="45 modules compiled",
    etcd="3.5.1",
    rounds=7,
    scale=1.0,
    load=0.1,
)
FAST = Row(
    row="put",
    what="put",
    members=3,
    load="100",
    unit=RATE,
    roost=(200.0, 300.0, 100.0),
    etcd=(100.0, 100.0, 100.0),
    roost_cpu_us=20.0,
    etcd_cpu_us=80.0,
    run="first",
)
LARGE = Row(
    row="disk", what="disk a key", members=3, load="", unit=KIB, roost=(0.8,), etcd=(0.4,),
    run="first",
)  # fmt: skip


def test_the_page_and_its_charts_are_what_the_raw_results_give() -> None:
    for path, text in page.made().items():
        assert path.read_text() == text, "run `python -m bench.page`"


def test_a_ratio_above_one_is_ahead_whatever_the_unit() -> None:
    assert FAST.ratio == 2.0, "the median of the rounds, not of all"
    assert LARGE.ratio == 0.5, "twice the disk is half as good"


def test_where_roost_is_behind_is_said_and_so_is_what_was_not_measured() -> None:
    said = page.blocks_of(Results((RUN,), (FAST, LARGE)), load_points(page.RAW_WAN))
    assert "ahead of etcd in 1 of 2 rows" in said["summary"]
    assert "* disk a key: 0.50" in said["summary"]
    missing = re.findall(r"`([a-z0-9-]+)`", said["summary"])
    assert "put" in missing, "with one member it was not measured"
    assert {"sustained", "tls", "stm", "restart"} <= set(missing)
    assert "disk" not in missing
    assert "**0.50**" in said["rows"]


def test_rows_stand_in_the_order_of_the_page_whenever_they_were_taken() -> None:
    alone = replace(FAST, members=1)
    ordered = page.in_order(Results((RUN,), (alone, LARGE, FAST)))
    assert ordered.rows == (FAST, LARGE, alone)
    assert ordered.runs == (RUN,)


@pytest.mark.parametrize("change", [{"scale": 0.1}, {"rounds": 2}, {"load": 7.0}])
def test_what_was_taken_in_a_hurry_or_beside_others_is_a_trial(change: dict[str, float]) -> None:
    assert not RUN.is_trial
    run = replace(RUN, **change)  # type: ignore[arg-type]  # each is of its own field's type
    assert run.is_trial
    points = load_points(page.RAW_WAN)
    for it, is_said in ((run, True), (RUN, False)):
        said = page.blocks_of(Results((it,), (FAST,)), points)["summary"]
        assert ("Trials, to be taken again" in said) is is_said


def test_rows_that_are_measured_again_take_the_place_of_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    save_results(path, Results().with_rows(RUN, [FAST, LARGE]))
    held = load_results(path)
    assert held == Results((RUN,), (FAST, LARGE))
    second = replace(RUN, id="second")
    newer = replace(LARGE, what="disk a key, of 1,000", run="second")
    both = held.with_rows(second, [newer])
    assert both == Results((RUN, second), (FAST, newer))
    again = replace(FAST, run="second")
    assert both.with_rows(second, [newer, again]).runs == (second,), "of the first nothing is left"


def test_a_bar_ends_on_the_side_of_even_on_which_its_ratio_is() -> None:
    tree = ET.fromstring(charts.bars([("ahead", 2.0), ("behind", 0.5), ("even", 1.0)]))
    _background, *rectangles = tree.iter("{http://www.w3.org/2000/svg}rect")
    ahead, behind, even = [(float(it.attrib["x"]), float(it.attrib["width"])) for it in rectangles]
    assert ahead[0] == pytest.approx(behind[0] + behind[1]) == pytest.approx(even[0])
    assert ahead[1] == pytest.approx(behind[1]), "twice and half as good are as far from even"


def test_a_curve_has_a_point_for_each_that_was_measured() -> None:
    points = load_points(page.RAW_WAN)
    tree = ET.fromstring(charts.curves(points))
    assert len(list(tree.iter("{http://www.w3.org/2000/svg}circle"))) == len(points)


def test_before_anything_was_measured_the_page_says_so() -> None:
    said = page.blocks_of(Results(), load_points(page.RAW_WAN))
    assert "No row has been taken yet" in said["summary"]
    assert len(re.findall(r"`[a-z0-9-]+`", said["summary"])) == len(page.EXPECTED)
    assert "not measured yet" in charts.bars([])
