"""Charts as SVG, written by hand: they are small, need no library, and differ only by figures."""

import math
from collections.abc import Sequence
from html import escape

from bench.wan import Point

_FONT = 'font-family="sans-serif" font-size="12"'
_AHEAD, _BEHIND, _LINE, _TEXT = "#2f7d4f", "#b5532a", "#888888", "#333333"
_WIDTH = 760
# Bars: where they begin, and how high a row is.
_BARS_X, _ROW_Y, _TOP_Y = 330, 20, 34
_CURVES_HEIGHT, _LEFT_X, _RIGHT_X, _BOTTOM_Y = 340, 80, 120, 290
_COLOURS = ("#2f7d4f", "#2c6fa8", "#8a5aa8", "#b5532a", "#777777", "#a8862c")


def _svg(height: int, parts: Sequence[str], title: str) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = _TEXT) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place} {_FONT}>{escape(text)}</text>"


def bars(rows: Sequence[tuple[str, float]]) -> str:
    """A bar a row, by a scale on which twice and half as good are as far from even."""
    most = max([2.0, *(ratio for _, ratio in rows)])
    least = min([0.5, *(ratio for _, ratio in rows)])
    whole = math.log(most / least)
    width = _WIDTH - _BARS_X - 50

    def at(ratio: float) -> float:
        return _BARS_X + width * math.log(ratio / least) / whole

    height = _TOP_Y + _ROW_Y * len(rows) + 12
    parts = [] if rows else [_text(_WIDTH / 2, _TOP_Y + 6, "not measured yet", "middle")]
    for mark in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0):
        if least <= mark <= most:
            line = f'x1="{at(mark):.1f}" x2="{at(mark):.1f}" y1="{_TOP_Y - 8}" y2="{height - 8}"'
            dashes = "" if mark == 1 else ' stroke-dasharray="2 4"'
            parts.append(f'<line {line} stroke="{_LINE}"{dashes}/>')
            parts.append(
                _text(at(mark), _TOP_Y - 14, "etcd" if mark == 1 else f"{mark:g}", "middle")
            )
    for number, (name, ratio) in enumerate(rows):
        y = _TOP_Y + _ROW_Y * number
        begin, end = sorted((at(1), at(ratio)))
        colour = _AHEAD if ratio >= 1 else _BEHIND
        place = f'x="{begin:.1f}" y="{y}" width="{max(end - begin, 1):.1f}" height="{_ROW_Y - 6}"'
        parts.append(_text(_BARS_X - 10, y + 11, name, "end"))
        parts.append(f'<rect {place} fill="{colour}"/>')
        parts.append(_text(max(end, at(1)) + 5, y + 11, f"{ratio:.2f}"))
    return _svg(height, parts, "How many times as good as etcd")


def curves(points: Sequence[Point]) -> str:
    """Puts a second by window, a line a batch; both scales are logarithmic."""
    windows = [it.window for it in points]
    rates = [it.puts_per_s for it in points]
    wide = math.log(max(windows) / min(windows)) or 1
    low, high = math.log10(min(rates)), math.log10(max(rates))

    def place(point: Point) -> tuple[float, float]:
        x = math.log(point.window / min(windows)) / wide
        y = (math.log10(point.puts_per_s) - low) / ((high - low) or 1)
        return _LEFT_X + x * (_WIDTH - _LEFT_X - _RIGHT_X), _BOTTOM_Y - y * (_BOTTOM_Y - 30)

    parts = []
    for power in range(math.ceil(low), math.floor(high) + 1):
        y = _BOTTOM_Y - (power - low) / ((high - low) or 1) * (_BOTTOM_Y - 30)
        line = f'x1="{_LEFT_X}" x2="{_WIDTH - _RIGHT_X}" y1="{y:.1f}" y2="{y:.1f}"'
        parts.append(f'<line {line} stroke="{_LINE}" stroke-dasharray="2 4"/>')
        parts.append(_text(_LEFT_X - 8, y + 4, f"{10**power:,}/s", "end"))
    for number, batch in enumerate(sorted({it.batch for it in points})):
        places = [place(it) for it in sorted(points, key=lambda it: it.window) if it.batch == batch]
        colour = _COLOURS[number % len(_COLOURS)]
        track = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{track}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        last_x, last_y = places[-1]
        parts.append(_text(last_x + 8, last_y + 4, f"{batch} an entry", colour=colour))
    for window in sorted(set(windows)):
        x = _LEFT_X + math.log(window / min(windows)) / wide * (_WIDTH - _LEFT_X - _RIGHT_X)
        parts.append(_text(x, _BOTTOM_Y + 20, str(window), "middle"))
    middle = _LEFT_X + (_WIDTH - _LEFT_X - _RIGHT_X) / 2
    parts.append(_text(middle, _BOTTOM_Y + 40, "entries on their way at once", "middle"))
    return _svg(_CURVES_HEIGHT, parts, "Puts a second over a long way")
