// What the page asks the member that serves it; nobody else is ever asked.

import { Events, Lines } from "./streams.js";

// In memory only: whoever reloads the page signs in again.
let token = "";

/** Heard when somebody has to sign in. */
export const door = new EventTarget();

/** A member said no, or could not be asked (status 0). */
export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }

  get needsSignIn() {
    return this.status === 401 || /user name is empty|invalid auth token/.test(this.message);
  }
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.authorization = token;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "this member does not answer");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let said = text.trim() || answer.statusText;
  try {
    const body = JSON.parse(text);
    said = body.message || body.error || said;
    if (typeof said !== "string") said = JSON.stringify(said);
  } catch {
    // It is no JSON: the text says it.
  }
  const refusal = new Refusal(answer.status, said);
  if (refusal.needsSignIn) door.dispatchEvent(new Event("closed"));
  throw refusal;
}

/** Call a method of the gateway: POST /v3/... */
export async function call(path, body = {}, signal = undefined) {
  const options = { method: "POST", body: JSON.stringify(body), signal };
  options.headers = { "content-type": "application/json" };
  return (await ask(`/v3/${path}`, options)).json();
}

/** Ask a page for JSON. */
export async function page(path, options = {}) {
  const answer = await ask(path, options);
  const text = await answer.text();
  return text ? JSON.parse(text) : {};
}

/** Ask for text, as it is. */
export async function plain(path, options = {}) {
  return (await ask(path, options)).text();
}

async function* pieces(answer) {
  const decoder = new TextDecoder();
  const reader = answer.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Call a method of the gateway that streams: what each line says. */
export async function* follow(path, body, signal) {
  const answer = await ask(`/v3/${path}`, { method: "POST", body: JSON.stringify(body), signal });
  const lines = new Lines();
  for await (const piece of pieces(answer)) {
    for (const line of lines.feed(piece)) {
      if (!line) continue;
      const said = JSON.parse(line);
      if (said.error) throw new Refusal(said.error.http_code, said.error.message);
      yield said.result;
    }
  }
}

/** Server-sent events of a page, until the stream ends. */
export async function* listen(path, events, signal) {
  const headers = events.lastId ? { "last-event-id": events.lastId } : {};
  const answer = await ask(path, { headers, signal });
  for await (const piece of pieces(answer)) yield* events.feed(piece);
}

export const newEvents = () => new Events();

/** Sign in; the token is kept until the page is left. */
export async function signIn(name, password) {
  token = "";
  const said = await call("auth/authenticate", { name, password });
  token = said.token;
  door.dispatchEvent(new Event("opened"));
}

export const isSignedIn = () => token !== "";
