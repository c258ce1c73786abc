// The frame of the page: which room is open, whether what it shows is old, and who is signed in.

import { door, isDenied, signIn, signedIn } from "./api.js";
import { Cluster } from "./cluster.js";
import { button, doing, field, fill, h, say } from "./dom.js";
import { durationText, pieceOf } from "./words.js";

const ROOMS = [
  ["cluster", "Cluster"], ["keys", "Keys"], ["tree", "v2 tree"], ["leases", "Leases and locks"], ["users", "Users"],
  ["series", "Series"], ["counters", "Counters"], ["storage", "Storage"], ["member", "Member"],
];
const cluster = new Cluster();
const place = document.getElementById("room");
let leaving = null;

/** The room of an address, #/keys/a%2Fb, and what stands behind it. */
function address() {
  const [, name = "", ...rest] = location.hash.split("/");
  const known = ROOMS.find(([it]) => it === name) ?? ROOMS[0];
  return { name: known[0], title: known[1], rest: rest.map(pieceOf) };
}

async function enter() {
  leaving?.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { name, title, rest } = address();
  document.title = `${title} – Roost`;
  // Of its own: what a room still adds when somebody has left it is seen nowhere.
  const inside = h("div", {}, h("h1", {}, title));
  fill(document.getElementById("rooms"), ROOMS.map(([it, text]) =>
    h("a", { href: `#/${it}`, "aria-current": it === name && "page" }, text)));
  try {
    const room = await import(`./rooms/${name}.js`);
    if (signal.aborted) return;
    fill(place, inside);
    await room.open(inside, { cluster, rest, signal, again: enter });
  } catch (error) {
    if (signal.aborted) return;
    if (isDenied(error)) inside.append(denied());
    else say(error.message, true);
  }
}

/** What somebody without a right to it sees in place of the rest of a room. */
function denied() {
  const who = signedIn();
  return h("p", { class: "card", id: "denied" }, `The rest of this room is not for ${who ? who.name : "you"}. `,
    "What you may is under ", h("a", { href: "#/users" }, "Users"), "; root gives more of it.");
}

function showFreshness() {
  const said = document.getElementById("freshness");
  const isOld = cluster.isOld;
  said.className = isOld ? "old" : "";
  place.classList.toggle("old", isOld && cluster.state !== null);
  const here = cluster.state && cluster.nameOf(cluster.state.here);
  let text = `live from ${here}`;
  if (!cluster.state) text = cluster.trouble || "connecting";
  else if (isOld) text = `old by ${durationText(cluster.age)}: ${cluster.trouble || "nothing comes"}`;
  if (signedIn()) text += `, as ${signedIn().name}`;
  if (said.textContent !== text) said.textContent = text;
}

function askWho() {
  if (document.getElementById("who")) return;
  const name = field("User", { autocomplete: "username", required: true });
  const password = field("Password", { type: "password", autocomplete: "current-password" });
  const dialog = h("dialog", { id: "who", "aria-labelledby": "who-title" },
    h("h2", { id: "who-title" }, "Sign in"),
    h("p", {}, "Users are on. The token is kept in memory: who reloads the page signs in again."),
    h("form", { onsubmit: doing(async () => {
      await signIn(name.input.value, password.input.value);
      dialog.close();
      dialog.remove();
    }) }, name.element, password.element, h("div", { class: "row" },
      button("Not now", () => { dialog.close(); dialog.remove(); }),
      h("button", { type: "submit", class: "primary" }, "Sign in"))));
  document.body.append(dialog);
  dialog.showModal();
}

const knock = document.getElementById("signin");
knock.addEventListener("click", askWho);
door.addEventListener("closed", () => {
  knock.hidden = false;
  knock.textContent = signedIn() ? "Sign in again" : "Sign in";
  askWho();
});
door.addEventListener("opened", () => {
  knock.hidden = true;
  say("");
  cluster.hurry();
  enter();
});
cluster.addEventListener("freshness", showFreshness);
window.addEventListener("hashchange", enter);
enter();
cluster.run();
