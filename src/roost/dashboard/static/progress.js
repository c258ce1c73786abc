// How far something is that takes long: a bar, and in words its phase, its rate and the time left.

import { h } from "./dom.js";
import { bytesText, durationText, numberText } from "./words.js";

/** So many of a unit; of bytes, in the unit that fits. */
const amount = (count, unit) => (unit === "bytes" ? bytesText(count) : `${numberText(count)} ${unit}`);

/**
 * Words for {phase, done, total, share, unit, seconds}.  Without a `total` there may be a `share`, from 0 to 1; without
 * both only the time is known.
 */
export function progressText({ phase, done = 0, total = 0, share = null, unit = "bytes", seconds }) {
  const part = total ? Math.min(1, done / total) : share;
  if (part === null) return `${phase}, ${durationText(seconds)} so far`;
  const rate = seconds > 0 ? `, ${amount(Math.round(done / seconds), unit)}/s` : "";
  const left = part > 0 && part < 1 ? `, ${durationText(seconds * (1 - part) / part)} left` : "";
  return `${phase}, ${amount(done, unit)}${total ? ` of ${amount(total, unit)}` : `, ${Math.round(100 * part)} %`}${rate}${left}`;
}

/** A bar with them. */
export function bar(title, work) {
  const part = work.total ? Math.min(1, work.done / work.total) : work.share ?? null;
  return h("div", { class: "row" }, h("progress", { max: 1, value: part, "aria-label": title }),
    h("span", {}, `${title}: ${progressText(work)}`));
}
