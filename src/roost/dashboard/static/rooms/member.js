// The member that serves this page: who it is, all its figures as they change, its addresses.

import { isDenied, mayAll, page } from "../api.js";
import { button, command, doing, every, field, fill, h, refresh, say, table } from "../dom.js";
import { protocolsOf, servicesOf } from "../endpoints.js";
import { durationText, momentText, numberText } from "../words.js";

const LOOK_MS = 2000;
const LEVELS = ["debug", "info", "warning", "error", "as the room above"], LINES_MAX = 500;

/** The last lines of the log, and how much each of its rooms says. */
function logCard(signal) {
  const list = h("ol", { class: "list", id: "log" }), told = h("p", { class: "quiet" });
  const module = field("Room of the log", { list: "log-modules", value: "roost" });
  const level = field("Says", { options: LEVELS });
  const modules = h("datalist", { id: "log-modules" });
  let after = 0;
  const take = (said) => {
    for (const it of said.lines) {
      if (it.number <= after) continue; // two answers may be on their way
      const tone = it.level === "info" || it.level === "debug" ? "quiet" : it.level === "warning" ? "warn" : "bad";
      list.prepend(h("li", {}, h("time", { class: "quiet" }, momentText(it.at_s)), " ", h("b", { class: tone }, it.level), " ",
        h("code", {}, it.module), ` ${it.text}`));
      after = it.number;
    }
    while (list.children.length > LINES_MAX) list.lastChild.remove();
    refresh(modules, said.modules.map((it) => h("option", { value: it })));
    const set = Object.entries(said.levels).map(([name, it]) => `${name}: ${it}`);
    refresh(told, set.length ? `Changed: ${set.join(", ")}` : "Every room says what --log-level lets through.");
  };
  let isTold = true;
  const look = async () => {
    if (!isTold) return;
    try {
      take(await page(`log?after=${after}`, { signal }));
    } catch (error) {
      if (!isDenied(error)) throw error;
      isTold = false;
      fill(card, h("h2", {}, "Log"), h("p", { class: "quiet" }, "Log and settings of a member are for root."));
    }
  };
  const change = doing(async () => {
    const wanted = level.input.value === LEVELS[4] ? "" : level.input.value;
    const body = JSON.stringify({ module: module.input.value, level: wanted });
    take(await page(`log?after=${after}`, { method: "POST", body, headers: { "content-type": "application/json" } }));
  });
  const card = h("section", { class: "card" }, h("h2", {}, "Log"), modules, h("div", { class: "row" }, module.element, level.element,
    button("Have it say so", change)), told, list);
  return { card, look };
}

/** All that this port answers, by protocols, as the member describes it. */
function endpointsCard() {
  const shown = h("div", { id: "endpoints" }), code = (it) => h("code", {}, it);
  const show = doing(async () => {
    const said = await page("/openapi.json");
    const protocols = protocolsOf(said).map((it) => h("details", {}, h("summary", {}, it.name), h("p", { class: "quiet" }, it.text),
      table(it.name, ["Method", "Path", "Parameters", "What it does"],
        it.rows.map(([method, path, takes, text]) => [code(method), code(path), takes || "–", text]))));
    const services = servicesOf(said).map(([name, methods]) => [code(name), methods]);
    refresh(shown, protocols, h("details", {}, h("summary", {}, "gRPC, on the same port"), table("gRPC", ["Service", "Methods"], services)));
  });
  return h("section", { class: "card" }, h("h2", {}, "What it answers"), button("Show endpoints", show), shown,
    h("p", { class: "quiet" }, "For programs: ", h("a", { href: "/openapi.json" }, "/openapi.json"), "; as text: ",
      h("a", { href: "/endpoints" }, "/endpoints")));
}

/** What this member was started with; what somebody has set comes first. */
function settingsCard() {
  const shown = h("div", { id: "settings" });
  const show = doing(async () => {
    const said = (await page("settings")).toSorted((a, b) => Number(a.origin === "") - Number(b.origin === ""));
    refresh(shown, table("Settings", ["Flag", "Value", "Set by", "Default", "Meaning"], said.map((it) => [h("code", {}, `--${it.name}`),
      h(it.is_default ? "span" : "b", {}, it.value || "–"), it.origin ? h("code", {}, it.origin) : "nobody", it.default || "–", it.text])));
  });
  return h("section", { class: "card" }, h("h2", {}, "What it was started with"), button("Show settings", show), shown,
    command("roost serve --help"));
}

/** Versions of what this member is made of. */
function builtCard() {
  const shown = h("div", { id: "built" });
  const show = doing(async () => {
    const said = await page("built");
    refresh(shown, table("Versions", ["", ""], [["Roost", `${said.version}, ${said.tree}`], ["Python", said.python], ["System", said.system]]),
      table("Packages", ["Name", "Version", "Wanted"], said.packages.map((it) => [h("code", {}, it.name),
        it.version || "not installed", it.is_optional ? "by an extra" : "always"])));
  });
  return h("section", { class: "card" }, h("h2", {}, "What it is made of"), button("Show versions", show), shown, command("roost --version; roost doctor"));
}

export async function open(place, { cluster, signal }) {
  const about = h("section", { class: "card", id: "about" });
  const wanted = field("Figures whose names have", { type: "search" });
  const figures = h("div", { id: "figures" });
  const log = logCard(signal);
  let before = {}, beforeMs = 0;
  place.append(about, h("section", { class: "card" }, h("div", { class: "row" }, wanted.element), figures,
    command("roost status")), log.card, ...(mayAll() ? [settingsCard(), builtCard()] : []), endpointsCard());

  const showAbout = () => {
    const row = cluster.state?.members.find((it) => it.is_here);
    if (!row) return;
    refresh(about, table("This member", ["", ""], [["Name", row.name], ["Id", h("code", {}, row.id)],
      ["Cluster", h("code", {}, cluster.state.cluster)], ["Version", row.facts.version], ["Up", durationText(row.facts.uptime_s)],
      ["Clients find it at", row.client_urls.join(" ")], ["Peers find it at", row.peer_urls.join(" ")]]));
  };
  const look = async () => {
    const said = await page("/debug/vars", { signal });
    const nowMs = performance.now(), seconds = (nowMs - beforeMs) / 1000;
    const rows = Object.entries(said).filter(([name]) => name.includes(wanted.input.value)).sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => {
        const change = name in before ? (value - before[name]) / seconds : 0;
        return [h("code", {}, name), numberText(value), change ? numberText(change) : ""];
      });
    before = said;
    beforeMs = nowMs;
    refresh(figures, table("Figures", ["Name", { name: "Value", isNumber: true }, { name: "Change a second", isNumber: true }], rows));
  };
  const quietly = () => Promise.all([look(), log.look()])
    .catch((error) => { if (error.name !== "AbortError") say(error.message, true); });
  wanted.input.addEventListener("input", doing(look));
  cluster.addEventListener("state", showAbout, { signal });
  showAbout();
  await quietly();
  every(LOOK_MS, quietly, signal);
}
