// Words, numbers and bytes for people.  Nothing here touches a page, so Node tries it as it is.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes in the unit that fits: 1536 -> "1.5 KiB". */
export function bytesText(count) {
  let value = Number(count), unit = 0;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** What a member's journal holds, and what its files take; where the latter is not known it is left out. */
export function journalText({ first_index, last_index, journal_bytes }) {
  const entries = `${numberText(last_index - first_index + 1)} entries`;
  return journal_bytes ? `${bytesText(journal_bytes)}, ${entries}` : entries;
}

/** A number in few signs: 0.0123 -> "0.0123", 12345.6 -> "12,346". */
export function numberText(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

/** So many of a thing: "1 lease", "2,000 leases". */
export const countText = (count, one, many = `${one}s`) => `${numberText(count)} ${Number(count) === 1 ? one : many}`;

/** Where a line of time begins or ends: the day as well, unless it is all of today. */
export function axisText(seconds, from, to, now = new Date()) {
  const isOfToday = [from, to].every((it) => new Date(it * 1000).toDateString() === now.toDateString());
  const said = momentText(seconds);
  if (isOfToday) return said.slice(11);
  return to - from > 60 ? said.slice(0, 16) : said;
}

/** The number of an id in hexadecimal, as the gateway wants it: of 64 bits, so not as a number. */
export const numberOf = (id) => BigInt(`0x${id}`).toString();

/** Seconds as one or two units: 93784 -> "1 d 2 h". */
export function durationText(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const parts = [];
  let left = Math.floor(seconds);
  for (const [name, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) parts.push(`${count} ${name}`);
  }
  return parts.slice(0, 2).join(" ");
}

/** A date of seconds since 1970, in the zone of whoever looks. */
export function momentText(seconds) {
  const date = new Date(seconds * 1000);
  const two = (it) => String(it).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Text as UTF-8. */
export const bytesOf = (text) => new TextEncoder().encode(text);

/** Bytes, or text as UTF-8, in base64: as the gateway wants keys and values. */
export function toBase64(data) {
  const bytes = typeof data === "string" ? bytesOf(data) : data;
  let said = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    said += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(said);
}

/** The bytes of base64; nothing is no bytes, as the gateway leaves out what is empty. */
export function fromBase64(said) {
  return Uint8Array.from(atob(said || ""), (it) => it.charCodeAt(0));
}

/** The text that bytes are, or null where they are none that can be read. */
export function textOf(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    // eslint-disable-next-line no-control-regex
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

const hex = (byte) => byte.toString(16).padStart(2, "0");

/** A key for a line: text, and bytes that are none as \xNN. */
export function keyText(bytes) {
  const text = textOf(bytes);
  if (text !== null) return text;
  return Array.from(bytes, (it) =>
    it >= 0x20 && it < 0x7f ? String.fromCharCode(it) : `\\x${hex(it)}`).join("");
}

/** Bytes as rows of sixteen: where, in hexadecimal, and as text. */
export function hexText(bytes) {
  const rows = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const text = Array.from(row, (it) => (it >= 0x20 && it < 0x7f ? String.fromCharCode(it) : "."));
    rows.push(`${at.toString(16).padStart(8, "0")}  ${Array.from(row, hex).join(" ").padEnd(47)}  ${text.join("")}`);
  }
  return rows.join("\n");
}

/** Forms in which a value can be shown; the first that fits is what is shown unasked. */
export const FORMS = ["json", "text", "hex", "base64"];

/** A value in a form, or null where it has none of that kind. */
export function valueText(bytes, form) {
  const text = textOf(bytes);
  switch (form) {
    case "json":
      if (text === null || !/^\s*[[{]/.test(text)) return null;
      try {
        return JSON.stringify(JSON.parse(text), null, 2);
      } catch {
        return null;
      }
    case "text": return text;
    case "hex": return hexText(bytes);
    default: return toBase64(bytes);
  }
}

/** Where the keys that begin with a prefix end: what the gateway wants as `range_end`. */
export function prefixEnd(prefix) {
  const end = Uint8Array.from(prefix);
  for (let at = end.length - 1; at >= 0; at -= 1) {
    if (end[at] < 0xff) {
      end[at] += 1;
      return end.subarray(0, at + 1);
    }
  }
  return Uint8Array.of(0);
}

/** Whether one sequence of bytes comes before another, or is it: negative, 0 or positive. */
export function compareBytes(one, other) {
  const count = Math.min(one.length, other.length);
  for (let at = 0; at < count; at += 1) {
    if (one[at] !== other[at]) return one[at] - other[at];
  }
  return one.length - other.length;
}

/** A word as a shell wants it. */
export function shellText(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * How two texts differ, line by line: [" ", "-" or "+", line].
 * Lines that are equal at both ends are left alone; between them the longest common ones are found
 * where that is at most `cells` comparisons, else all of the old goes and all of the new comes.
 */
export function differences(before, after, cells = 250_000) {
  const old = before.split("\n"), now = after.split("\n");
  let head = 0, tail = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) head += 1;
  while (tail < old.length - head && tail < now.length - head &&
         old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail += 1;
  const gone = old.slice(head, old.length - tail), come = now.slice(head, now.length - tail);
  const same = (it) => [" ", it];
  return [...old.slice(0, head).map(same), ...middle(gone, come, cells),
    ...old.slice(old.length - tail).map(same)];
}

function middle(gone, come, cells) {
  if (gone.length * come.length > cells) {
    return [...gone.map((it) => ["-", it]), ...come.map((it) => ["+", it])];
  }
  const width = come.length + 1;
  const longest = new Uint32Array((gone.length + 1) * width);
  for (let i = gone.length - 1; i >= 0; i -= 1) {
    for (let j = come.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] = gone[i] === come[j]
        ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const found = [];
  let i = 0, j = 0;
  while (i < gone.length || j < come.length) {
    if (i < gone.length && j < come.length && gone[i] === come[j]) {
      found.push([" ", gone[i]]);
      i += 1; j += 1;
    } else if (j >= come.length ||
               (i < gone.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
      found.push(["-", gone[i]]);
      i += 1;
    } else {
      found.push(["+", come[j]]);
      j += 1;
    }
  }
  return found;
}

/** A piece of an address; what somebody has written who does not escape stays as it is. */
export function pieceOf(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
