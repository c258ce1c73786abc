// Requests to the members of a cluster: which one is asked, who asks, and what its answers mean.
//
// A request that may be repeated goes on at the next member when one does not answer, once round.  Another one does so
// only where it surely was not sent; else what came of it is unknown, and its caller is told so.

import { OutcomeUnknown, Refusal, Unreachable } from "./errors.js";
import { lines } from "./streams.js";

// Of Node's, what says that nothing was sent.  Browsers do not say.
const NOT_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"]);

/**
 * @typedef {object} ClientOptions
 * @property {string} [user]  who asks, while authentication is on
 * @property {string} [password]
 * @property {string} [token]  of somebody who has logged in already; when it has run out, who has no `user` is refused
 * @property {number} [timeoutMs]  for a request that ends; 10,000 where nothing is said
 * @property {typeof globalThis.fetch} [fetch]  what asks, instead of the platform's own
 */

/**
 * @typedef {object} Asking
 * @property {string} [method]
 * @property {BodyInit} [body]
 * @property {Record<string, string>} [headers]
 * @property {boolean} [isRepeatable]  it may be asked twice: it changes nothing, or nothing more the second time
 * @property {AbortSignal} [signal]
 * @property {boolean} [isStream]  it ends when somebody says so, not with time
 */

export class Connection {
  #endpoints;
  #at = 0;
  #options;
  #fetch;
  #token = "";
  /** @type {Promise<void> | null} */
  #login = null;

  /** @param {string | string[]} endpoints  @param {ClientOptions} options */
  constructor(endpoints, options) {
    const all = typeof endpoints === "string" ? [endpoints] : [...endpoints];
    if (!all.length) throw new TypeError("a client needs the URL of a member");
    this.#endpoints = all.map((it) => new URL(it).href.replace(/\/+$/, ""));
    this.#options = { timeoutMs: 10_000, ...options };
    this.#token = options.token ?? "";
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /**
   * Ask for something; an answer whose status says yes.
   * @param {string} path  @param {Asking} [asking]  @returns {Promise<Response>}
   */
  async ask(path, asking = {}) {
    try {
      return await this.#askAny(path, asking);
    } catch (error) {
      const isOld = error instanceof Refusal && error.needsLogin && this.#options.user !== undefined;
      if (!isOld) throw error;
    }
    // The token has run out, or there was none yet; what was refused was not done.
    await this.#logIn();
    return this.#askAny(path, asking);
  }

  /** @param {string} path  @param {Asking} asking */
  async #askAny(path, asking) {
    let last;
    for (let tries = 0; tries < this.#endpoints.length; tries += 1) {
      const endpoint = this.#endpoints[this.#at];
      try {
        return await this.#askOne(endpoint + path, asking);
      } catch (error) {
        if (asking.signal?.aborted) throw asking.signal.reason;
        if (error instanceof Refusal && !(error.isPassing && asking.isRepeatable)) throw error;
        if (error instanceof OutcomeUnknown) throw error;
        last = error;
        this.#turnFrom(endpoint);
      }
    }
    throw last;
  }

  /** Ask another member from now on, unless somebody has seen to that.  @param {string} endpoint */
  #turnFrom(endpoint) {
    if (this.#endpoints[this.#at] === endpoint) this.#at = (this.#at + 1) % this.#endpoints.length;
  }

  /** A stream has ended before its time.  */
  turn() {
    this.#turnFrom(this.#endpoints[this.#at]);
  }

  /** @param {string} url  @param {Asking} asking */
  async #askOne(url, asking) {
    const headers = { ...asking.headers };
    if (this.#token) headers.authorization = this.#token;
    // Of a stream only the head has to come in time.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new DOMException("the time is up", "TimeoutError")), this.#options.timeoutMs);
    const signal = asking.signal ? AbortSignal.any([asking.signal, late.signal]) : late.signal;
    let answer;
    try {
      answer = await this.#fetch(url, {
        method: asking.method ?? "GET",
        body: asking.body,
        headers,
        signal,
        cache: "no-store",
        credentials: "omit",
      });
      // What is short comes within the same time: its caller gets it whole.
      if (!answer.ok) throw await refusalOf(answer);
      if (asking.isStream) return answer;
      return new Response(answer.status === 204 ? null : await answer.arrayBuffer(), answer);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw failureOf(error, url, asking);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Say who we are; together with all others who find that they have to. */
  #logIn() {
    this.#login ??= this.#newToken().finally(() => {
      this.#login = null;
    });
    return this.#login;
  }

  async #newToken() {
    this.#token = "";
    const { user, password } = this.#options;
    const asking = { ...posting({ name: user, password: password ?? "" }), isRepeatable: true };
    const answer = await this.#askAny("/v3/auth/authenticate", asking);
    this.#token = (await answer.json()).token;
  }

  /**
   * Call a method of the gateway that answers once.
   * @param {string} path  behind /v3/  @param {object} body  @param {Asking} [asking]  @returns {Promise<any>}
   */
  async call(path, body, asking = {}) {
    const answer = await this.ask(`/v3/${path}`, { ...asking, ...posting(body) });
    return answer.json();
  }

  /**
   * Call a method of the gateway that goes on answering: what each line says.
   * @param {string} path  behind /v3/  @param {object} body  @param {Asking} [asking]  @returns {AsyncGenerator<any>}
   */
  async *follow(path, body, asking = {}) {
    const answer = await this.ask(`/v3/${path}`, {
      ...asking,
      ...posting(body),
      isRepeatable: true,
      isStream: true,
    });
    for await (const line of lines(bodyOf(answer))) {
      if (!line) continue;
      const said = JSON.parse(line);
      if (said.error) throw new Refusal(said.error.http_code ?? 500, said.error.message, said.error.grpc_code);
      yield said.result;
    }
  }
}

/** @param {object} body  @returns {Asking} */
const posting = (body) => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
});

/** @param {Response} answer  @returns {ReadableStream<Uint8Array>} */
export function bodyOf(answer) {
  if (!answer.body) throw new Unreachable("the answer has no body");
  return answer.body;
}

/** @param {Response} answer */
async function refusalOf(answer) {
  const text = await answer.text();
  let said = text.trim() || answer.statusText;
  let code;
  try {
    const body = JSON.parse(text);
    code = body.code;
    const message = body.message ?? body.error ?? said;
    said = typeof message === "string" ? message : JSON.stringify(message);
  } catch {
    // It is no JSON: the text says it.
  }
  return new Refusal(answer.status, said, code);
}

/** What a request that has no answer came to.  @param {any} error  @param {string} url  @param {Asking} asking */
function failureOf(error, url, asking) {
  const reason = error?.cause?.code ?? error?.cause?.message ?? error?.message ?? String(error);
  if (asking.isRepeatable || NOT_SENT.has(error?.cause?.code)) {
    return new Unreachable(`${new URL(url).host} does not answer: ${reason}`, { cause: error });
  }
  return new OutcomeUnknown(`${new URL(url).host} has not answered: ${reason}; it may have been done`, { cause: error });
}

/**
 * Wait a little longer each time, at most three seconds; ends at once when the signal says so.
 * @param {number} tries  @param {AbortSignal} [signal]  @returns {Promise<void>}
 */
export function pause(tries, signal) {
  return new Promise((done, fail) => {
    const end = () => {
      clearTimeout(timer);
      fail(signal?.reason);
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener("abort", end);
        done();
      },
      Math.min(100 * 2 ** tries, 3000),
    );
    if (signal?.aborted) end();
    signal?.addEventListener("abort", end, { once: true });
  });
}
