// Streams that come in pieces: lines of JSON, and server-sent events (WHATWG HTML, 9.2).

/** Cuts text that comes in pieces into lines. */
export class Lines {
  #rest = "";

  /** The lines that are whole now. */
  feed(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    return lines.map((it) => it.replace(/\r$/, ""));
  }
}

/** Reads events out of text that comes in pieces. */
export class Events {
  #lines = new Lines();
  #kind = "";
  #data = [];
  /** The id of the last event that had one: what is said when the stream is asked for again. */
  lastId = "";

  /** The events that are whole now. */
  feed(text) {
    const found = [];
    for (const line of this.#lines.feed(text)) {
      if (line === "") {
        if (this.#data.length) found.push({ kind: this.#kind || "message", data: this.#data.join("\n") });
        this.#kind = "";
        this.#data = [];
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue;
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "event") this.#kind = value;
      else if (name === "data") this.#data.push(value);
      else if (name === "id") this.lastId = value;
    }
    return found;
  }
}
