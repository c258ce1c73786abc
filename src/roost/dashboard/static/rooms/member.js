// The member that serves this page: who it is, all its figures as they change, its addresses.

import { page } from "../api.js";
import { command, doing, field, h, refresh, say, table } from "../dom.js";
import { durationText, numberText } from "../words.js";

const LOOK_MS = 2000;
// What this port answers besides calls of etcd's API, which docs/reference lists.
const ADDRESSES = [
  ["/health, /livez, /readyz", "whether it serves"], ["/metrics", "all figures, for Prometheus"],
  ["/debug/vars", "the same as JSON"], ["/version", "versions, as etcd names them"],
  ["/v3/…", "etcd's API as JSON; gRPC on the same port"], ["/v2/…", "etcd 0.4's keys, statistics and members"],
  ["/series/…", "time series"], ["/counters/…", "counters"],
  ["/dashboard/cluster", "the cluster as this member sees it, as JSON"], ["/dashboard/events", "the same a second, as events"],
];

export async function open(place, { cluster, signal }) {
  const about = h("section", { class: "card", id: "about" });
  const wanted = field("Figures whose names have", { type: "search" });
  const figures = h("div", { id: "figures" });
  let before = {}, beforeMs = 0;
  place.append(about, h("section", { class: "card" }, h("div", { class: "row" }, wanted.element), figures,
    command("roost status")), h("section", { class: "card" }, table("Where else it answers", ["Address", "What is there"],
    ADDRESSES.map(([address, text]) => [h("code", {}, address), text]))));

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
  const quietly = () => look().catch((error) => { if (error.name !== "AbortError") say(error.message, true); });
  wanted.input.addEventListener("input", doing(look));
  cluster.addEventListener("state", showAbout, { signal });
  showAbout();
  await look();
  const timer = setInterval(quietly, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}
