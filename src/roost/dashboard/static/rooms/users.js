// Users, roles and permissions; and who may read or write a key.

import { call, isDenied, signedIn } from "../api.js";
import { agreed, button, command, doing, field, fill, h, say, table } from "../dom.js";
import { bytesOf, compareBytes, fromBase64, keyText, prefixEnd, shellText, toBase64 } from "../words.js";

const KINDS = ["READ", "WRITE", "READWRITE"];

/** What a permission is of, in words: a key, a prefix, all behind a key, or a range. */
export function rangeText(key, end) {
  if (!end.length) return keyText(key);
  if (end.length === 1 && end[0] === 0) return key.length <= 1 && !key[0] ? "all keys" : `from ${keyText(key)} on`;
  if (compareBytes(prefixEnd(key), end) === 0) return `${keyText(key)}…`;
  return `${keyText(key)} to before ${keyText(end)}`;
}

/** Whether a permission lets somebody do it with a key; `wanted` is READ or WRITE. */
export function covers(permission, key, wanted) {
  const kind = permission.permType ?? "READ";
  if (kind !== wanted && kind !== "READWRITE") return false;
  const first = fromBase64(permission.key), end = fromBase64(permission.range_end);
  if (!end.length) return compareBytes(first, key) === 0;
  const isOpen = end.length === 1 && end[0] === 0;
  return compareBytes(first, key) <= 0 && (isOpen || compareBytes(key, end) < 0);
}

async function everything() {
  const [state, users, roles] = await Promise.all([call("auth/status"), call("auth/user/list"), call("auth/role/list")]);
  const rolesOf = await Promise.all((users.users ?? []).map(async (name) =>
    ({ name, roles: (await call("auth/user/get", { name })).roles ?? [] })));
  const permissions = await Promise.all((roles.roles ?? []).map(async (name) =>
    ({ name, permissions: (await call("auth/role/get", { role: name })).perm ?? [] })));
  return { isOn: state.enabled === true, users: rolesOf, roles: permissions };
}

function changing(again) {
  return (title, lines, verb, path, body) => doing(async () => {
    if (!await agreed(title, lines, verb)) return;
    await call(path, body);
    say(`${title}: done`);
    again();
  });
}

function usersCard(held, again) {
  const change = changing(again);
  const name = field("Name", { required: true }), password = field("Password", { type: "password" });
  const user = field("User", { options: held.users.map((it) => it.name) });
  const role = field("Role", { options: held.roles.map((it) => it.name) });
  const now = (path, body) => doing(async () => { await call(path, body()); again(); });
  return h("section", { class: "card", id: "users" }, table("Users", ["Name", "Roles", ""], held.users.map((it) => [it.name,
    it.roles.map((one) => [`${one} `, button("Take away", change(`Take the role ${one} from ${it.name}`,
      ["He loses what it lets him do, at once.", `roost user revoke-role ${shellText(it.name)} ${shellText(one)}`],
      "Take it away", "auth/user/revoke", { name: it.name, role: one }), { class: "small" }), " "]).flat(),
    button("Delete", change(`Delete the user ${it.name}`, ["He can sign in no more.",
      `roost user delete ${shellText(it.name)}`], "Delete him", "auth/user/delete", { name: it.name }),
    { class: "small danger" })])),
  h("details", {}, h("summary", {}, "Add a user, or give one a role"),
    h("form", { class: "row", onsubmit: now("auth/user/add", () => ({ name: name.input.value, password: password.input.value })) },
      name.element, password.element, h("button", { type: "submit" }, "Add him")),
    h("form", { class: "row", onsubmit: now("auth/user/grant", () => ({ user: user.input.value, role: role.input.value })) },
      user.element, role.element, h("button", { type: "submit" }, "Give him the role"))), command("roost user list"));
}

function rolesCard(held, again) {
  const change = changing(again);
  const name = field("Name", { required: true });
  const role = field("Role", { options: held.roles.map((it) => it.name) });
  const kind = field("May", { options: KINDS });
  const key = field("Key"), isPrefix = field("All that begin so", { type: "checkbox" });
  const grant = doing(async () => {
    const first = bytesOf(key.input.value);
    const all = isPrefix.input.checked;
    await call("auth/role/grant", { name: role.input.value, perm: { permType: kind.input.value,
      key: toBase64(all && !first.length ? Uint8Array.of(0) : first), range_end: all ? toBase64(prefixEnd(first)) : "" } });
    again();
  });
  const rows = held.roles.map((it) => [it.name, it.name === "root" ? "everything" : it.permissions.map((one) => {
    const text = rangeText(fromBase64(one.key), fromBase64(one.range_end));
    return h("div", {}, `${(one.permType ?? "READ").toLowerCase()} `, h("code", {}, text), " ",
      button("Take away", change(`Take ${text} from ${it.name}`, ["Whoever has the role loses it at once.",
        `roost role revoke ${shellText(it.name)} ${shellText(keyText(fromBase64(one.key)))}`], "Take it away",
      "auth/role/revoke", { role: it.name, key: one.key, range_end: one.range_end }), { class: "small" }));
  }), button("Delete", change(`Delete the role ${it.name}`, ["All users lose it.",
    `roost role delete ${shellText(it.name)}`], "Delete it", "auth/role/delete", { role: it.name }), { class: "small danger" })]);
  return h("section", { class: "card", id: "roles" }, table("Roles", ["Name", "May", ""], rows),
    h("details", {}, h("summary", {}, "Add a role, or let one do more"),
      h("form", { class: "row", onsubmit: doing(async () => { await call("auth/role/add", { name: name.input.value }); again(); }) },
        name.element, h("button", { type: "submit" }, "Add it")),
      h("form", { class: "row", onsubmit: grant }, role.element, kind.element, key.element, isPrefix.element,
        h("button", { type: "submit" }, "Let it"))), command("roost role list"));
}

function askingCard(held) {
  const key = field("Key", { required: true });
  const shown = h("div", { id: "who-may" });
  const look = (event) => {
    event.preventDefault();
    const bytes = bytesOf(key.input.value);
    const names = (wanted) => {
      const able = new Set(held.roles.filter((it) => it.permissions.some((one) => covers(one, bytes, wanted))).map((it) => it.name));
      return held.users.filter((it) => it.roles.some((one) => one === "root" || able.has(one))).map((it) => it.name);
    };
    const said = (wanted) => held.isOn ? names(wanted).join(", ") || "nobody" : "everybody: users are off";
    fill(shown, h("p", {}, `May read it: ${said("READ")}`), h("p", {}, `May write it: ${said("WRITE")}`));
  };
  return h("section", { class: "card" }, h("h2", {}, "Who may read this key?"), h("form", { class: "row", onsubmit: look },
    key.element, h("button", { type: "submit" }, "Look")), shown);
}

/** What whoever has signed in may, who may not see all users. */
async function ownCard({ name, roles }) {
  const held = await Promise.all(roles.map(async (role) => ({ role, perm: (await call("auth/role/get", { role })).perm ?? [] })));
  const rows = held.flatMap(({ role, perm }) => perm.map((it) => [role, (it.permType ?? "READ").toLowerCase(),
    h("code", {}, rangeText(fromBase64(it.key), fromBase64(it.range_end)))]));
  return h("section", { class: "card", id: "own" }, h("p", {}, `You are ${name}; users and roles are root's to see and to change.`),
    rows.length ? table("What you may", ["By the role", "May", "Keys"], rows) : h("p", {}, "No role of yours lets you do anything."),
    command(`roost user get ${shellText(name)}`));
}

export async function open(place, { signal, again }) {
  let held;
  try {
    held = await everything();
  } catch (error) {
    if (!isDenied(error) || !signedIn()) throw error;
    const own = await ownCard(signedIn());
    if (!signal.aborted) place.append(own);
    return;
  }
  if (signal.aborted) return;
  place.append(h("p", {}, held.isOn ? "Users are on: whoever asks has to sign in."
    : h("span", { class: "warn" }, "Users are off: whoever reaches a member may do everything. "), !held.isOn && h("code", {}, "roost user add root && roost user grant-role root root && roost auth enable")),
  usersCard(held, again), rolesCard(held, again), askingCard(held));
}
