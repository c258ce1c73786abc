// From numbers to places on a chart, and back: no canvas, so Node tries it as it is.

/** Values for the lines of a grid: round ones, about `count`, from below `least` to above `most`. */
export function ticks(least, most, count = 4) {
  if (!(most > least)) most = least + 1;
  const rough = (most - least) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((it) => it * power >= rough) * power;
  const found = [];
  for (let at = Math.floor(least / step); at * step < most + step; at += 1) {
    found.push(Number((at * step).toPrecision(12)));
  }
  return found;
}

/** Where a number lies between two others, drawn from `first` to `last`. */
export const placed = (value, least, most, first, last) =>
  most === least ? first : first + ((value - least) / (most - least)) * (last - first);

/** Least and most of all numbers that are some; [0, 1] where there are none. */
export function extent(lines, pick) {
  let least = Infinity, most = -Infinity;
  for (const line of lines) {
    for (const point of line.points) {
      for (const value of pick(point)) {
        if (value === null || value === undefined || Number.isNaN(value)) continue;
        if (value < least) least = value;
        if (value > most) most = value;
      }
    }
  }
  return least > most ? [0, 1] : [least, most];
}

/**
 * At most four points for each of `width` columns: first, least, most and last of those in it.  So a
 * line looks the same, however many points it has.  Points are [x, y, low, high], in order of x.
 */
export function reduced(points, width) {
  if (points.length <= 4 * width) return points;
  const first = points[0][0], span = points[points.length - 1][0] - first || 1;
  const found = [];
  let column = -1, held = [];
  const flush = () => {
    if (!held.length) return;
    let least = held[0], most = held[0];
    for (const it of held) {
      if (it[1] < least[1]) least = it;
      if (it[1] > most[1]) most = it;
    }
    const kept = new Set([held[0], least, most, held[held.length - 1]]);
    found.push(...held.filter((it) => kept.has(it)));
  };
  for (const point of points) {
    const at = Math.min(width - 1, Math.floor(((point[0] - first) / span) * width));
    if (at !== column) { flush(); held = []; column = at; }
    held.push(point);
  }
  flush();
  return found;
}

/** The newest numbers of one kind, `size` at most: [time, value]. */
export class History {
  constructor(size = 300) {
    this.size = size;
    this.points = [];
  }

  add(time, value) {
    this.points.push([time, value]);
    if (this.points.length > this.size) this.points.shift();
  }
}

/** How much something that only grows has grown a second; null where it began again. */
export function rate(before, now, seconds) {
  return seconds > 0 && now >= before ? (now - before) / seconds : null;
}
