"""Queries as plans: what is bounded before the parser sees it, and patterns that it never does."""

import pytest

pytest.importorskip("promql_parser")

import promql_parser

from roost.series.prometheus.errors import BadQuery, NotInSubset
from roost.series.prometheus.parsing import parsed, parsed_matchers
from roost.series.prometheus.plan import Leaf, Matcher, MatchKind

IS, IS_NOT, MATCHES, MATCHES_NOT = MatchKind


def test_a_selector_has_its_matchers_and_what_is_read_of_it() -> None:
    plan = parsed("""rate({"m.f", a=~'b\\\\.c', d!~`e"f`, "g h"!="i"}[1m30s] offset -5s)""", 1)
    assert plan == Leaf(
        (
            Matcher("__name__", IS, "m.f"), Matcher("a", MATCHES, "b\\.c"),
            Matcher("d", MATCHES_NOT, 'e"f'), Matcher("g h", IS_NOT, "i"),
        ),
        90 * 10**9, -5 * 10**9, "rate",
    )  # fmt: skip
    assert parsed("x", 7) == Leaf((Matcher("__name__", IS, "x"),), 7)


@pytest.mark.parametrize("text", ["{a=~~'b'}", "{a!~~'b'}", "{a=~ # c\n ~'b'}"])
def test_a_pattern_does_not_reach_the_parser_by_a_sign_too_many(text: str) -> None:
    with pytest.raises(BadQuery):
        parsed_matchers(text)


@pytest.mark.parametrize("text", ["{a=~'b'}", "{a =~ # a remark\n 'b'}", "{a=~`b`,}"])
def test_a_pattern_is_one_however_it_is_written(text: str) -> None:
    assert parsed_matchers(text) == (Matcher("a", MATCHES, "b"),)


def test_the_parser_compiles_no_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took a fifth of a second for this one, and a query can have thousands."""
    seen: list[str] = []
    parse = promql_parser.parse

    def seeing(text: str) -> object:
        seen.append(text)
        return parse(text)

    monkeypatch.setattr(promql_parser, "parse", seeing)
    with pytest.raises(BadQuery, match="too large"):
        parsed(r"x{a=~'[\\p{L}]{500}'}", 1)
    assert "~" not in seen[0]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 33 + "x" + ")" * 33,
        "-" * 65 + "x",
        "+".join(["x"] * 66),
        "x or " * 65 + "x",
        "x{" + ",".join(["a='b'"] * 501) + "}",
        "x{a='" + "b" * 65536 + "'}",
        "x{a='\ue000'}",
        " ",
        "sum without (a) (" * 33 + "x" + ")" * 33,
    ],
)
def test_what_is_too_much_is_refused_before_it_is_parsed(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_text: str) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(promql_parser, "parse", nobody)
    with pytest.raises(BadQuery):
        parsed(text, 1)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x[5m:1m]", "subquery"), ("x[5m:]", "subquery"),
        ("predict_linear(x[5m] @ 5, 1)", "@"),
        ("count_values('v', x)", "count_values"), ("hour(x)", "hour"),
        ("x{a='b' or c='d'}", "or"), ("quantile_over_time(scalar(x), x[5m])", "plain number"),
        ("timestamp(sum(x))", "timestamp"), ("mad_over_time(x[5m])", "mad_over_time"),
    ],
)  # fmt: skip
def test_what_is_not_answered_is_refused_by_its_name(text: str, name: str) -> None:
    with pytest.raises(NotInSubset) as refused:
        parsed(text, 1)
    assert name in str(refused.value)


def test_a_moment_is_a_window_of_all_steps() -> None:
    span = 7 * 10**9, 9 * 10**9
    wanted = {"5": 5000, "1700000000.5": 1_700_000_000_500, "start()": 7000, "end()": 9000}
    for said, moment_ms in wanted.items():
        for text in (f"x @ {said}", f"x[1m] @ {said} offset 1m", f"x offset 1m @{said}"):
            found = parsed(text, 1, span)
            assert isinstance(found, Leaf)
            assert found.at_ns == moment_ms * 10**6


@pytest.mark.parametrize("said", ["-5", "- 5", "+5", "1e30", "5000000000", "nan", "Inf", "x", "@1"])
def test_a_moment_that_is_none_is_refused_before_the_parser_has_it(said: str) -> None:
    """Of one before 1970 it made a panic, which is no exception that anybody catches."""
    with pytest.raises(BadQuery):
        parsed(f"x @ {said}", 1)


@pytest.mark.parametrize("text", ["x[80y]", "x offset 80y", "x offset -80y", "x + x[5m]"])
def test_lengths_are_bounded(text: str) -> None:
    with pytest.raises(BadQuery):
        parsed(text, 1)
