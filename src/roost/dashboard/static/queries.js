// What is asked of time series for a graph, and lines of what is answered; Node tries it as it is.

/** A query as parameters; `from` and `to` are seconds since 1970, and null where all is wanted. */
export function queryOf({ names, tag, from, to, window, zone, aggregates }, points = 600) {
  const said = new URLSearchParams();
  for (const it of names) said.append("name", it);
  if (tag) said.append("tag", tag);
  if (from !== null) said.set("start", new Date(from * 1000).toISOString());
  if (to !== null) said.set("end", new Date(to * 1000).toISOString());
  if (zone) said.set("tz", zone);
  if (window === "auto") said.set("points", points);
  else if (window !== "none") said.set("window", window);
  if (window !== "none") said.set("agg", aggregates.join(","));
  said.set("precision", "ms");
  return said;
}

/**
 * Lines of an answer: one for each drawn aggregate that a series has, the first with a band where there are min and
 * max.  Points as they are have one column, whatever was asked for.
 */
export function linesOf(answer, drawn) {
  return answer.series.flatMap((it) => {
    const place = (name) => it.columns.indexOf(name);
    const low = place("min"), high = place("max"), found = drawn.filter((name) => place(name) > 0);
    return (found.length ? found : [null]).map((name, at) => {
      const value = name === null ? 1 : place(name);
      const isBanded = at === 0 && low > 0 && high > 0;
      return { name: found.length > 1 ? `${it.name} ${name}` : it.name, points: it.rows.map((row) =>
        isBanded ? [row[0] / 1000, row[value], row[low], row[high]] : [row[0] / 1000, row[value]]) };
    });
  });
}
