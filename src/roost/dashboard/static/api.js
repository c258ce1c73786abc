// What the page asks the member that serves it; nobody else is ever asked.  Requests and streams are those of our own
// client (clients/js); what is here says when somebody has to sign in, and keeps the answers' JSON as it is.

import { bodyOf, Connection } from "./client/connection.js";
import { Refusal } from "./client/errors.js";
import { events, lines } from "./client/streams.js";

export { Refusal };

// What takes long (a file that is written anew) has no other end than its own.
const TIMEOUT_MS = 3_600_000;

// Calls of the gateway that change nothing: of those it is known that nothing was done when no answer comes.
const READING = /^(kv\/range|auth\/(user|role)\/(get|list)|.*\/(list|status|hash|timetolive|leases))$/;

const connected = (token) => new Connection(location.origin, { timeoutMs: TIMEOUT_MS, token });

// The token is in memory only: whoever reloads the page signs in again.
let connection = null, who = null;

/** Heard when somebody has to sign in. */
export const door = new EventTarget();

// What a refusal says of whoever has no right to it: 7 is gRPC's PERMISSION_DENIED.
const DENIED = 7;

/** Whether something was refused to whoever asks, and would be answered to others. */
export const isDenied = (error) => error instanceof Refusal && (error.status === 403 || error.code === DENIED);

/** Who is refused for want of a name is asked for it; who has one, and no right, is told so. */
function knocked(error) {
  if (error instanceof Refusal && error.needsLogin) door.dispatchEvent(new Event("closed"));
  if (who && isDenied(error) && !error.message.startsWith(who.name)) error.message = `${who.name} may not do that (${error.message})`;
  return error;
}

async function asking(work) {
  connection ??= connected();
  try {
    return await work(connection);
  } catch (error) {
    throw knocked(error);
  }
}

/** Call a method of the gateway: POST /v3/... */
export const call = (path, body = {}, signal = undefined) =>
  asking((it) => it.call(path, body, { signal, isRepeatable: READING.test(path) }));

/** Ask a page of this member, by its path or by what stands behind /dashboard/. */
function ask(path, options = {}) {
  const target = path.startsWith("/") ? path : `/dashboard/${path}`;
  return asking((it) => it.ask(target, { isRepeatable: (options.method ?? "GET") === "GET", ...options }));
}

/** Ask a page for JSON. */
export async function page(path, options = {}) {
  const text = await (await ask(path, options)).text();
  return text ? JSON.parse(text) : {};
}

/** Ask for text, as it is. */
export const plain = async (path, options = {}) => (await ask(path, options)).text();

/**
 * A file, held by the browser and not by the page; `hear(done, total)` is told how many bytes have come.
 * Whoever goes elsewhere meanwhile takes none.
 */
export async function file(path, signal, hear) {
  const answer = await ask(path, { signal, isStream: true });
  const total = Number(answer.headers.get("content-length") ?? 0);
  let done = 0;
  const counted = answer.body.pipeThrough(new TransformStream({
    transform(piece, out) {
      done += piece.byteLength;
      hear(done, total);
      out.enqueue(piece);
    },
  }));
  const blob = await new Response(counted).blob();
  if (blob.size !== total) throw new Error(`only ${blob.size} of ${total} bytes have come`);
  return blob;
}

/** Call a method of the gateway that streams: what each line says. */
export async function* follow(path, body, signal) {
  connection ??= connected();
  try {
    yield* connection.follow(path, body, { signal });
  } catch (error) {
    throw knocked(error);
  }
}

/** What each line of a page that streams says, until it ends; empty ones only keep it open. */
export async function* told(path, signal) {
  const answer = await ask(path, { signal, isStream: true });
  for await (const line of lines(bodyOf(answer))) if (line) yield JSON.parse(line);
}

/** Server-sent events of a page, until the stream ends; each has the id to go on from. */
export async function* listen(path, lastId, signal) {
  const headers = lastId ? { "last-event-id": lastId } : {};
  const answer = await ask(path, { headers, signal, isStream: true });
  yield* events(bodyOf(answer), lastId);
}

/** Sign in; the token is kept until the page is left, the password is not. */
export async function signIn(name, password) {
  const { token } = await connected().call("auth/authenticate", { name, password });
  connection = connected(token);
  // Everybody may ask for himself (etcd: UserGet).
  const { roles = [] } = await connection.call("auth/user/get", { name });
  who = { name, roles };
  door.dispatchEvent(new Event("opened"));
}

/** Who has signed in: {name, roles}; null = nobody has. */
export const signedIn = () => who;

/** Whether nothing is known that whoever looks may not do: what only root may is not offered to others. */
export const mayAll = () => who === null || who.roles.includes("root");
