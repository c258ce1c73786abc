// etcd 0.4's tree: directories and values, what is left of them, changes that compare (etcd: v2 API).

import { page, told } from "../api.js";
import { agreed, button, command, doing, field, h, say, table } from "../dom.js";
import { begun, changed, watchCard } from "../watching.js";
import { durationText, shellText } from "../words.js";

const nameOf = (key) => key.slice(key.lastIndexOf("/") + 1);
const addressOf = (key) => `#/tree/${encodeURIComponent(key)}`;
const pathOf = (key) => `/v2/keys${key.split("/").map(encodeURIComponent).join("/")}`;
const left = (node) => (node.ttl === undefined ? "stays" : `${durationText(node.ttl)} left`);

function send(key, method, fields) {
  const query = method === "DELETE" ? `?${new URLSearchParams(fields)}` : "";
  const body = method === "DELETE" ? undefined : new URLSearchParams(fields).toString();
  return page(pathOf(key) + query, { method, body, headers: { "content-type": "application/x-www-form-urlencoded" } });
}

function crumbs(key) {
  const names = key.split("/").filter(Boolean);
  return h("ol", { class: "steps", "aria-label": "Where this is" }, h("li", {}, h("a", { href: "#/tree" }, "the root")),
    names.map((it, at) => h("li", {}, h("a", { href: addressOf(`/${names.slice(0, at + 1).join("/")}`) }, it))));
}

function rowOf(node) {
  const link = h("a", { href: addressOf(node.key) }, nameOf(node.key) + (node.dir ? "/" : ""));
  return [link, node.dir ? "directory" : h("code", {}, (node.value ?? "").slice(0, 200)), left(node), String(node.modifiedIndex)];
}

function creating(key, again) {
  const name = field("Name", { required: true }), value = field("Value"), ttl = field("Gone after, in seconds", { type: "number", min: 1 });
  return h("details", {}, h("summary", {}, "Create a value"), h("form", { class: "row", onsubmit: doing(async () => {
    const fields = { value: value.input.value, prevExist: "false" };
    if (ttl.input.value) fields.ttl = ttl.input.value;
    await send(`${key === "/" ? "" : key}/${name.input.value}`, "PUT", fields);
    again();
  }) }, name.element, value.element, ttl.element, h("button", { type: "submit", class: "primary" }, "Create it")));
}

function directing(key, again) {
  const name = field("Name of the directory", { required: true });
  return h("details", {}, h("summary", {}, "Create a directory"), h("form", { class: "row", onsubmit: doing(async () => {
    await send(`${key === "/" ? "" : key}/${name.input.value}`, "PUT", { dir: "true", prevExist: "false" });
    again();
  }) }, name.element, h("button", { type: "submit", class: "primary" }, "Create the directory")));
}

/** What is gone of a node has no value any more. */
async function* changes(key, signal) {
  yield begun();
  for await (const { action, node } of told(`${pathOf(key)}?wait=true&recursive=true&stream=true`, signal)) {
    const isGone = ["delete", "expire", "compareAndDelete"].includes(action);
    yield changed(action, node.key, node.modifiedIndex, isGone ? null : node.value ?? "a directory");
  }
}

function removing(node, isDirectory) {
  return button(isDirectory ? "Delete the directory" : "Delete it", doing(async () => {
    const lines = [isDirectory ? "All that is in it will be gone." : "Its value will be gone."];
    if (!await agreed(`Delete ${node.key}`, lines, "Delete it")) return;
    await send(node.key, "DELETE", isDirectory ? { recursive: "true" } : { prevIndex: node.modifiedIndex });
    location.hash = addressOf(node.key.slice(0, node.key.lastIndexOf("/")) || "/");
  }), { class: "danger" });
}

function valueCard(node, again) {
  const value = field("Value", { rows: 4, value: node.value ?? "" });
  return h("section", { class: "card" }, h("p", { class: "quiet" },
    `Changed at ${node.modifiedIndex}, created at ${node.createdIndex}; ${left(node)}.`),
  h("form", { onsubmit: doing(async () => {
    await send(node.key, "PUT", { value: value.input.value, prevIndex: node.modifiedIndex });
    say("it was written");
    again();
  }) }, value.element, h("div", { class: "row" },
    h("button", { type: "submit", class: "primary" }, "Write it, unless it has changed"), removing(node, false))));
}

export async function open(place, { rest, signal, again }) {
  const key = rest[0] || "/";
  let node;
  try {
    ({ node } = await page(`${pathOf(key)}?quorum=true`));
  } catch (error) {
    if (error.status !== 404 || !/page not found/i.test(error.message)) throw error;
    place.append(h("p", { class: "card" }, "The v2 interface is not served here: ", h("code", {}, "roost serve --enable-v2")));
    return;
  }
  if (signal.aborted) return;
  place.append(h("section", { class: "card" }, crumbs(key)));
  if (!node.dir) {
    place.append(valueCard(node, again));
    return;
  }
  const nodes = (node.nodes ?? []).toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const inIt = nodes.length ? table("What is in it", ["Name", "Value", "Time", { name: "Index", isNumber: true }], nodes.map(rowOf))
    : h("p", { class: "quiet" }, "There is nothing in it.");
  place.append(h("section", { class: "card", id: "tree" }, inIt, creating(key, again), directing(key, again),
    key !== "/" && removing(node, true), command(`roost v2 ls ${shellText(key)}`)),
  watchCard((ending) => changes(key, ending), `roost v2 watch --recursive --forever ${shellText(key)}`, signal));
}
