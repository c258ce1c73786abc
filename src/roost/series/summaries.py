"""What is summed up of points: a row a range of time, in seven columns.

    COUNT    how many numbers there are
    SUM      their sum
    SQUARES  the sum of their squared distances from their mean
    LEAST    the lowest
    MOST     the highest
    FIRST    the earliest
    LAST     the latest

A row can be made of rows, as exactly as of the points themselves.  We keep squared distances and
not squares: sums of squares lose all digits where values are large and differ little (Chan,
Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances, 1979).

A NaN is a point without a number.  It is kept and read as it is, and what is summed up does not
see it; a range with nothing else has no row.  Infinities go by the rules of IEEE 754: with both
signs a sum is NaN, with one of them so are the squares.
"""

from collections.abc import Sequence

from roost.series.extra import Floats, Ints, np
from roost.series.tables import Table, empty, joined

COUNT, SUM, SQUARES, LEAST, MOST, FIRST, LAST = range(7)
COLUMN_COUNT = 7


def summed(points: Table, places: Ints) -> Table:
    """Points by the range that each is in; a row's time is its range's number.

    `places` are in order, as the points are.
    """
    is_number = ~np.isnan(points.values)
    values, places = points.values[is_number], places[is_number]
    if not len(values):
        return empty(COLUMN_COUNT)
    begins = _begins(places)
    counts = np.diff(np.append(begins, len(values)))
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.add.reduceat(values, begins)
        distances = values - np.repeat(sums / counts, counts)
        squares = np.add.reduceat(distances * distances, begins)
    columns = np.empty((COLUMN_COUNT, len(begins)))
    columns[COUNT], columns[SUM], columns[SQUARES] = counts, sums, squares
    columns[LEAST] = np.minimum.reduceat(values, begins)
    columns[MOST] = np.maximum.reduceat(values, begins)
    columns[FIRST], columns[LAST] = values[begins], values[begins + counts - 1]
    return Table(places[begins], columns)


def merged(rows: Table, places: Ints) -> Table:
    """Rows in the order of time, by the larger range that each is in; as `summed`."""
    if not len(rows):
        return rows
    begins = _begins(places)
    if len(begins) == len(rows):
        return Table(places, rows.columns)
    held = rows.columns
    spans = np.diff(np.append(begins, len(rows)))
    columns = np.empty((COLUMN_COUNT, len(begins)))
    with np.errstate(invalid="ignore", over="ignore"):
        columns[COUNT] = np.add.reduceat(held[COUNT], begins)
        columns[SUM] = np.add.reduceat(held[SUM], begins)
        means = np.repeat(columns[SUM] / columns[COUNT], spans)
        distances = held[SUM] / held[COUNT] - means
        squares = held[SQUARES] + held[COUNT] * distances * distances
        columns[SQUARES] = np.add.reduceat(squares, begins)
    columns[LEAST] = np.minimum.reduceat(held[LEAST], begins)
    columns[MOST] = np.maximum.reduceat(held[MOST], begins)
    columns[FIRST], columns[LAST] = held[FIRST][begins], held[LAST][begins + spans - 1]
    return Table(places[begins], columns)


def together(rows: Sequence[Table]) -> Table:
    """Ranges of several series as those of one."""
    if len(rows) == 1:
        return rows[0]
    both = joined([it for it in rows if len(it)] or list(rows[:1]), COLUMN_COUNT)
    both = both.at(np.argsort(both.times, kind="stable"))
    return merged(both, both.times)


def means(rows: Table) -> Floats:
    """The mean of each."""
    with np.errstate(invalid="ignore"):
        found: Floats = rows.columns[SUM] / rows.columns[COUNT]
    return found


def deviations(rows: Table) -> Floats:
    """The standard deviation of each, of all its numbers (by n, not by n - 1)."""
    with np.errstate(invalid="ignore"):
        found: Floats = np.sqrt(rows.columns[SQUARES] / rows.columns[COUNT])
    return found


def _begins(places: Ints) -> Ints:
    """Where another range begins."""
    found: Ints = np.flatnonzero(np.append(True, places[1:] != places[:-1]))
    return found
