"""PromQL, parsed by `promql_parser`, as a `plan`; what is not answered is refused by its name.

What the parser is given is bounded before, for its work grows with the square of what is nested:
bytes, words, signs, brackets in each other.  It would also compile all patterns, by a library that
takes a fifth of a second for some; so it is given them as plain texts with a mark, and they are
compiled here, within bounds (`matching`).

Answered are selectors with all four kinds of matchers, `offset` and `@`; functions of `ranges` on
windows of them and of subqueries, and those of `functions`; aggregations of `aggregating` with `by`
and `without`; signs between vectors, one to one and many to one, with `on` and `ignoring`, and
between vectors and numbers.  Not answered are native histograms, and what Prometheus calls
experimental.

What follows `@` is looked at here first: the parser ends in panic at moments before 1970.
"""

import re
from datetime import timedelta
from typing import Any

from roost.series.prometheus.asked import LENGTH_MAX, MILLISECOND_NS, MOMENT_MAX
from roost.series.prometheus.errors import BadQuery, NotInSubset
from roost.series.prometheus.extra import promql_parser as parser
from roost.series.prometheus.functions import EACH, OTHERS
from roost.series.prometheus.matching import matching
from roost.series.prometheus.operators import ARITHMETIC, COMPARISONS, SETS
from roost.series.prometheus.plan import (
    NAME,
    RAW,
    Aggregate,
    Binary,
    Call,
    Leaf,
    Many,
    Matcher,
    MatchKind,
    Negative,
    Number,
    Plan,
    Source,
    Subquery,
    Text,
    is_scalar,
)
from roost.series.prometheus.ranges import FUNCTIONS

QUERY_BYTES_MAX, WORDS_MAX, SIGNS_MAX, BRACKETS_MAX = 64 << 10, 2000, 64, 32
PLAN_DEPTH_MAX = 100
# The step of a subquery that says none, as where Prometheus is not told another.
STEP_NS = 60 * 10**9
AGGREGATIONS = frozenset((
    "avg", "bottomk", "count", "group", "max", "min", "quantile", "stddev", "stdvar", "sum", "topk",
))  # fmt: skip
# Texts; remarks and spaces; words and numbers; signs.
_WORD = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(?P<blank>\#[^\n]*|\s+)|[\w.:]+"""
    r"""|(?P<pattern>[=!]~)|(?P<sign>[=!<>]=|[-+*/%^<>])|.""",
    re.DOTALL,
)
# What may stand behind `@`.
_MOMENT = re.compile(r"[0-9]{1,12}(\.[0-9]{0,9})?|start|end")
_SIGNS = frozenset(("and", "or", "unless", "atan2"))
# A text that begins so is a pattern; nobody else's text may have it.
_MARK = "\ue000"
_KINDS = {
    (str(parser.MatchOp.Equal), False): MatchKind.IS,
    (str(parser.MatchOp.NotEqual), False): MatchKind.IS_NOT,
    (str(parser.MatchOp.Equal), True): MatchKind.MATCHES,
    (str(parser.MatchOp.NotEqual), True): MatchKind.MATCHES_NOT,
}
_MANY = {
    str(parser.VectorMatchCardinality.ManyToOne): Many.LEFT,
    str(parser.VectorMatchCardinality.OneToMany): Many.RIGHT,
}


def parsed(text: str, lookback_ns: int, span: tuple[int, int] = (0, 0)) -> Plan:
    """A query; `lookback_ns` is how long a point is the newest one.

    `span` is where the query begins and ends, for those who ask for the state `@ start()`.

    Raises:
        BadQuery: it is none, or larger than a query may be.
        NotInSubset: it is one, and has something that is not answered here.

    """
    return _Translation(lookback_ns, span).plan(_parse(text), 0)


def parsed_matchers(text: str) -> tuple[Matcher, ...]:
    """The matchers of a query that is nothing but a selector.

    Raises:
        BadQuery: it is none.

    """
    found = _parse(text)
    if not isinstance(found, parser.VectorSelector):
        raise BadQuery(f"{text[:100]!r} is no selector of series")
    return _matchers(found)


def _parse(text: str) -> Any:  # Any: one of the parser's kinds
    try:
        return parser.parse(_marked(text))
    except ValueError as error:
        raise BadQuery(f"parse error: {str(error).replace(_MARK, '')}") from error


def _marked(text: str) -> str:
    """A query whose patterns are plain texts with a mark.

    Raises:
        BadQuery: it is larger than a query may be.

    """
    if len(text.encode(errors="replace")) > QUERY_BYTES_MAX or _MARK in text or not text.strip():
        raise BadQuery(f"a query is 1 to {QUERY_BYTES_MAX} bytes of text")
    pieces: list[str] = []
    words = signs = depth = 0
    is_pattern = False
    before = ""
    for match in _WORD.finditer(text):
        word, kind = match[0], match.lastgroup
        if kind == "text" and is_pattern:
            word = word[0] + _MARK + word[1:]
        if kind == "pattern":
            # With a space, so that what follows cannot make a pattern's sign of it again.
            word = "= " if word == "=~" else "!= "
        if kind != "blank":
            is_pattern = kind == "pattern"
            if before == "@" and not _is_moment(word):
                raise BadQuery("behind @ stand seconds from 1970 to 2116, start() or end()")
            before = word
            words += 1
            signs += kind == "sign" or word.lower() in _SIGNS
            depth += (word in ("(", "[", "{")) - (word in (")", "]", "}"))
            if words > WORDS_MAX or signs > SIGNS_MAX or depth > BRACKETS_MAX:
                raise BadQuery(f"a query has {WORDS_MAX} words, {SIGNS_MAX} signs between them and "
                               f"{BRACKETS_MAX} brackets in each other at most")  # fmt: skip
        pieces.append(word)
    return "".join(pieces)


def _is_moment(word: str) -> bool:
    if _MOMENT.fullmatch(word) is None:
        return False
    return not word[0].isdigit() or float(word) * 1e9 <= MOMENT_MAX


def _matchers(selector: Any) -> tuple[Matcher, ...]:  # Any: a VectorSelector
    given = selector.matchers
    if given.or_matchers:
        raise NotInSubset("matchers with `or` are not answered here: write two queries")
    found = [Matcher(NAME, MatchKind.IS, selector.name)] if selector.name else []
    for it in given.matchers:
        is_pattern = it.value.startswith(_MARK)
        kind = _KINDS[str(it.op), is_pattern]
        found.append(Matcher(it.name, kind, it.value.removeprefix(_MARK)))
    matching(found)  # so that what is wrong with them is told before anything is read
    return tuple(found)


def _length(delta: Any) -> int:  # Any: a timedelta, or nothing
    """A length of time, or an offset, in nanoseconds."""
    found = 0 if delta is None else delta // timedelta(microseconds=1) * 1000
    if abs(found) > LENGTH_MAX:
        raise BadQuery("a window or an offset is 73 years at most")
    return found


class _Translation:
    """Of the parser's nodes to ours."""

    def __init__(self, lookback_ns: int, span: tuple[int, int]) -> None:
        self._lookback_ns = lookback_ns
        self._span = span

    def plan(self, node: Any, depth: int) -> Plan:  # Any: one of the parser's kinds
        if depth > PLAN_DEPTH_MAX:
            raise BadQuery(f"a query is nested {PLAN_DEPTH_MAX} times at most")
        match type(node).__name__:
            case "ParenExpr":
                return self.plan(node.expr, depth + 1)
            case "NumberLiteral":
                return Number(node.val)
            case "StringLiteral":
                return Text(node.val.removeprefix(_MARK))
            case "UnaryExpr":
                return Negative(self.plan(node.expr, depth + 1))
            case "VectorSelector":
                return self._leaf(node, self._lookback_ns, "")
            case "MatrixSelector":
                if depth:
                    raise BadQuery("a window of points stands in a function, or alone")
                return self._leaf(node.vector_selector, _length(node.range), RAW)
            case "Call":
                return self._call(node, depth)
            case "AggregateExpr":
                return self._aggregate(node, depth)
            case "BinaryExpr":
                return self._binary(node, depth)
            case "SubqueryExpr":
                raise NotInSubset("a subquery, as x[1h:1m], stands in a function here")
        raise NotInSubset(f"{type(node).__name__} is not answered here")

    def _leaf(
        self, selector: Any, range_ns: int, function: str, parameter: float = 0.0
    ) -> Leaf:  # Any: a VectorSelector
        at_ns = self._moment(selector, function)
        offset = _length(selector.offset)
        return Leaf(_matchers(selector), range_ns, offset, function, parameter, at_ns)

    def _subquery(
        self, node: Any, depth: int, function: str, parameter: float
    ) -> Subquery:  # Any: a SubqueryExpr
        step_ns = STEP_NS if node.step is None else _length(node.step)
        if step_ns < MILLISECOND_NS:
            raise BadQuery("the step of a subquery is a millisecond at least")
        return Subquery(
            function,
            self._vector(node.expr, depth + 1),
            _length(node.range),
            step_ns,
            _length(node.offset),
            parameter,
            self._moment(node, function),
        )

    def _moment(self, node: Any, function: str) -> int | None:  # Any: what has an `@`, or none
        """What `@` says: `@ start()`, `@ end()`, or `@ ` and seconds in milliseconds."""
        if node.at is None:
            return None
        if function == "predict_linear":
            raise NotInSubset("predict_linear() with the modifier @ is not answered here")
        start, stop = self._span
        said = str(node.at).removeprefix("@").strip()
        if said in ("start()", "end()"):
            return start if said == "start()" else stop
        return round(float(said) * 1000) * MILLISECOND_NS

    def _call(self, node: Any, depth: int) -> Plan:
        name, given = node.func.name, list(node.args)
        inner = [_bare(it) for it in given]
        kinds = parser.MatrixSelector, parser.SubqueryExpr
        windows = [it for it in inner if isinstance(it, kinds)]
        if name == "absent_over_time" and windows:
            return Call(name, (self._window(windows[0], depth, "present_over_time"),))
        if windows and name in FUNCTIONS and name:
            rest = [self.plan(it, depth + 1) for it in inner if it is not windows[0]]
            return self._window(windows[0], depth, name, *rest)
        if name == "timestamp":
            if not isinstance(inner[0], parser.VectorSelector):
                raise NotInSubset("timestamp() is answered of a selector only")
            return self._leaf(inner[0], self._lookback_ns, name)
        if name not in EACH and name not in OTHERS:
            raise NotInSubset(f"the function {name}() is not answered here")
        return Call(name, tuple(self.plan(it, depth + 1) for it in given))

    def _window(
        self, node: Any, depth: int, function: str, *rest: Plan
    ) -> Source:  # Any: a MatrixSelector, or a SubqueryExpr
        parameter = 0.0
        if rest:
            number = _number(rest[0])
            if number is None or len(rest) > 1:
                raise NotInSubset(f"{function}() is answered with a plain number only")
            parameter = number
        if isinstance(node, parser.SubqueryExpr):
            return self._subquery(node, depth, function, parameter)
        return self._leaf(node.vector_selector, _length(node.range), function, parameter)

    def _aggregate(self, node: Any, depth: int) -> Aggregate:  # Any: an AggregateExpr
        name, modifier = str(node.op).lower(), node.modifier
        if name not in AGGREGATIONS:
            raise NotInSubset(f"the aggregation {name}() is not answered here")
        is_without = modifier is not None and modifier.type == parser.AggModifierType.Without
        labels = () if modifier is None else tuple(modifier.labels)
        parameter = None if node.param is None else self.plan(node.param, depth + 1)
        if parameter is not None and not is_scalar(parameter):
            raise BadQuery(f"{name}() is given a number first")
        return Aggregate(name, self._vector(node.expr, depth), labels, is_without, parameter)

    def _vector(self, node: Any, depth: int) -> Plan:
        found = self.plan(node, depth + 1)
        if isinstance(found, Text) or is_scalar(found):
            raise BadQuery("a vector is wanted, and there is a number or a string")
        return found

    def _binary(self, node: Any, depth: int) -> Binary:  # Any: a BinaryExpr
        sign, modifier = str(node.op).lower(), node.modifier
        left, right = self.plan(node.lhs, depth + 1), self.plan(node.rhs, depth + 1)
        if isinstance(left, Text) or isinstance(right, Text):
            raise BadQuery("a string has no sign beside it")
        if sign in SETS and (is_scalar(left) or is_scalar(right)):
            raise BadQuery(f"{sign} stands between vectors")
        if sign not in ARITHMETIC and sign not in COMPARISONS and sign not in SETS:
            raise NotInSubset(f"the sign {sign} is not answered here")
        if modifier is None:
            return Binary(sign, left, right)
        fills = modifier.fill_values
        if fills is not None and (fills.lhs is not None or fills.rhs is not None):
            raise NotInSubset("fill values are not answered here")
        labels = modifier.matching
        return Binary(
            sign,
            left,
            right,
            labels=() if labels is None else tuple(labels.labels),
            is_on=labels is not None and labels.type == parser.LabelModifierType.Include,
            is_bool=bool(modifier.return_bool),
            many=_MANY.get(str(modifier.card)),
            included=tuple(modifier.group_labels or ()),
        )


def _bare(node: Any) -> Any:  # Any: one of the parser's kinds
    """What brackets stand around."""
    while isinstance(node, parser.ParenExpr):
        node = node.expr
    return node


def _number(plan: Plan) -> float | None:
    """The value of a plain number, with a sign or without."""
    match plan:
        case Number(value):
            return value
        case Negative(Number(value)):
            return -value
    return None
