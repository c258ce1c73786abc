// Streams that come in pieces: lines of JSON, and server-sent events (WHATWG HTML, 9.2).

// A line that is longer is no answer of a member's: bytes of a connection must not fill memory.
const LINE_CHARACTERS_MAX = 1 << 28;

/**
 * The lines of a body, without their ends; the last one only if it is whole.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string>}
 */
export async function* lines(body) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = decoder.decode(value, { stream: true }).split("\n");
      const last = parts.pop() ?? "";
      for (const part of parts) {
        rest.push(part);
        yield rest.join("").replace(/\r$/, "");
        rest = [];
        length = 0;
      }
      rest.push(last);
      length += last.length;
      if (length > LINE_CHARACTERS_MAX) throw new RangeError("a line of an answer has no end");
    }
  } finally {
    // Whoever leaves early ends the request; it has failed already if this does.
    reader.cancel().catch(() => {});
  }
}

/**
 * @typedef {object} ServerEvent
 * @property {string} kind  "message" where nothing else is said
 * @property {string} data
 * @property {string} id  the last id that was said
 */

/**
 * The events of a body.
 * @param {ReadableStream<Uint8Array>} body
 * @param {string} [lastId]
 * @returns {AsyncGenerator<ServerEvent>}
 */
export async function* events(body, lastId = "") {
  let kind = "";
  let data = [];
  let id = lastId;
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length) yield { kind: kind || "message", data: data.join("\n"), id };
      kind = "";
      data = [];
      continue;
    }
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") kind = value;
    else if (name === "data") data.push(value);
    else if (name === "id") id = value;
  }
}
