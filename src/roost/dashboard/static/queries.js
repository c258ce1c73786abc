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

/** Lines of an answer: the first of the asked aggregates, with a band where there are min and max. */
export function linesOf(answer, aggregates) {
  return answer.series.map((it) => {
    const place = (name) => it.columns.indexOf(name);
    const value = Math.max(1, place(aggregates[0])), low = place("min"), high = place("max");
    return { name: it.name, points: it.rows.map((row) =>
      low > 0 && high > 0 ? [row[0] / 1000, row[value], row[low], row[high]] : [row[0] / 1000, row[value]]) };
  });
}
