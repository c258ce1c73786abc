// Members, their latencies, alarms, graphs, what has happened; and changes of members.

import { call, mayAll } from "../api.js";
import { chart } from "../chart.js";
import { GRAPHS } from "../cluster.js";
import { agreed, button, command, doing, field, fill, h, refresh, say, table } from "../dom.js";
import { bar } from "../progress.js";
import { bytesText, durationText, journalText, momentText, numberOf, numberText, shellText } from "../words.js";

// Of the peers' answers, as etcd's first dashboard had them.
const WARN_MS = 25, BAD_MS = 60;
const COLUMNS = ["Name", "Role", { name: "Term", isNumber: true }, { name: "Committed", isNumber: true },
  { name: "Applied", isNumber: true }, { name: "Behind", isNumber: true },
  { name: "Store", isNumber: true }, { name: "In use", isNumber: true },
  { name: "Journal", isNumber: true }, "Version", "Up", "Heard", ""];
const LATENCY_COLUMNS = ["From the leader to", ...["Now", "Average", "Deviation", "Least", "Most"]
  .map((it) => ({ name: `${it} ms`, isNumber: true })), { name: "Answered", isNumber: true },
{ name: "Failed", isNumber: true }];

function roleOf(row) {
  if (!row.facts) return h("span", { class: "bad" }, row.name ? "silent" : "never started");
  const role = row.is_learner ? "learner" : row.facts.role;
  return h("span", { class: role === "leader" ? "good" : "" }, row.facts.is_fenced ? `${role}, fenced` : role);
}

function heard(row, old) {
  if (row.age_s === null) return h("span", { class: "bad" }, "never");
  const text = row.is_here ? "it is this one" : `${durationText(row.age_s)} ago`;
  return h("span", { class: row.age_s > old ? "bad" : "quiet" }, text);
}

function memberRow(row, actions) {
  const it = row.facts;
  const known = it ? [it.term, it.commit_index, it.applied_index, row.lag_entries].map(numberText)
    : ["–", "–", "–", "–"];
  return [h("span", { title: `${row.id}, ${row.peer_urls.join(" ")}` }, row.name || row.id), roleOf(row), ...known,
    it ? bytesText(it.db_bytes) : "–", it ? bytesText(it.db_in_use_bytes) : "–",
    it ? journalText(it) : "–",
    it?.version, it && durationText(it.uptime_s), heard(row, 3.5), actions(row)];
}

const shade = (ms) => (ms < WARN_MS ? "good" : ms < BAD_MS ? "warn" : "bad");
const word = (ms) => (ms < WARN_MS ? "" : ms < BAD_MS ? " slow" : " very slow");

function latencyRow(cluster, it) {
  const ms = (value) => it.answered_count
    ? h("span", { class: shade(value) }, numberText(value) + word(value)) : "–";
  return [h("span", { class: it.is_open ? "" : "bad" }, cluster.nameOf(it.member) + (it.is_open ? "" : " (no link)")),
    ms(it.last_ms), ms(it.mean_ms), ms(it.deviation_ms), ms(it.least_ms), ms(it.most_ms),
    numberText(it.answered_count), numberText(it.failed_count)];
}

/** The command that starts a new member. */
function startCommand(name, peerUrl, members) {
  const all = members.flatMap((it) => it.peerURLs.map((url) => `${it.name || name}=${url}`)).join(",");
  return `roost serve --name ${shellText(name)} --listen-peer-urls ${peerUrl} ` +
    `--initial-advertise-peer-urls ${peerUrl} --initial-cluster ${shellText(all)} --initial-cluster-state existing`;
}

function adding(told) {
  const name = field("Name of the new member", { required: true });
  const url = field("Peer URL", { placeholder: "http://10.0.0.4:2380", required: true });
  const learner = field("Without a vote, until it is promoted", { type: "checkbox" });
  learner.input.checked = true;
  const form = h("form", { onsubmit: doing(async () => {
    const body = { peerURLs: [url.input.value], isLearner: learner.input.checked };
    const said = await call("cluster/member/add", body);
    fill(told, h("p", {}, "It is a member now. Start it on its machine:"),
      h("pre", {}, startCommand(name.input.value, url.input.value, said.members)));
  }) }, h("div", { class: "row" }, name.element, url.element, learner.element,
    h("button", { type: "submit", class: "primary" }, "Add a member")));
  return h("details", {}, h("summary", {}, "Add a member"), form,
    command("roost member add NAME --peer-urls URL --learner"));
}

/** Ask which new member takes the place of one, and have it so. */
function replacing(row, name, told) {
  const heir = field("Name of the new member", { required: true });
  const url = field("Its peer URL", { placeholder: "http://10.0.0.4:2380", required: true });
  const close = () => { dialog.close(); dialog.remove(); };
  const dialog = h("dialog", { "aria-labelledby": "replaced" }, h("h2", { id: "replaced" }, `Replace ${name}`),
    h("p", {}, "It leaves the cluster for good, and the new one has its vote, in one step."),
    h("p", {}, `roost member replace ${row.id} NAME --peer-urls URL`),
    h("form", { onsubmit: doing(async () => {
      const body = { ID: numberOf(row.id), peerURLs: [url.input.value] };
      const said = await call("cluster/member/replace", body);
      close();
      fill(told, h("p", {}, "It is a member now. Start it on its machine, on an empty directory:"),
        h("pre", {}, startCommand(heir.input.value, url.input.value, said.members)));
      told.scrollIntoView({ block: "nearest" });
    }) }, heir.element, url.element, h("div", { class: "row" }, button("Leave it", close),
      h("button", { type: "submit", class: "danger" }, "Replace it"))));
  dialog.addEventListener("cancel", close);
  document.body.append(dialog);
  dialog.showModal();
}

function actionsOf(cluster, told) {
  const change = (title, lines, verb, path, body) => doing(async () => {
    if (!await agreed(title, lines, verb)) return;
    await call(path, body);
    say(`${title}: done`);
  });
  return (row) => {
    if (!mayAll()) return "";
    const name = row.name || row.id, ID = numberOf(row.id);
    const leads = cluster.state.leader === row.id;
    const small = { class: "small", "data-of": row.id };
    return h("span", { class: "row" },
      row.is_learner && button("Promote", change(`Promote ${name}`, [
        "It gets a vote, and counts for majorities from then on.",
        `roost member promote ${row.id}`], "Promote", "cluster/member/promote", { ID }), small),
      // etcd's rule: the leader is asked itself.
      !leads && !row.is_learner && row.facts && cluster.state.here === cluster.state.leader && button("Have it lead", change(`Have ${name} lead`, [
        "The leader hands over; writes wait for a moment.",
        `roost member lead ${row.id}`], "Hand over", "maintenance/transfer-leadership", { targetID: ID }),
      small),
      !row.is_learner && button("Replace", () => replacing(row, name, told), { ...small, class: "small danger" }),
      button("Remove", change(`Remove ${name}`, [
        "It leaves the cluster for good, and its directory cannot be used again.",
        `${cluster.state.members.length - 1} members remain.`, `roost member remove ${row.id}`],
      "Remove it", "cluster/member/remove", { ID }), { ...small, class: "small danger" }));
  };
}

function alarmRow(cluster, it) {
  const memberID = numberOf(it.member);
  const clear = doing(async () => {
    const lines = ["Look first whether what raised it is over.", "roost alarm disarm"];
    if (!await agreed(`Disarm ${it.alarm}`, lines, "Disarm")) return;
    await call("maintenance/alarm", { action: "DEACTIVATE", memberID, alarm: it.alarm });
  });
  return h("li", { class: "bad" }, `${it.alarm} at ${cluster.nameOf(it.member)} `, mayAll() ? button("Disarm", clear,
    { class: "small", "data-of": `${it.alarm} ${it.member}` }) : "");
}

/** How far a member is that is sent a copy of another one's store. */
const sendingBar = (cluster, row, it) => bar(
  `${cluster.nameOf(it.member)} ${it.is_joining ? "joins" : "is too far behind"}, and gets a copy of ${cluster.nameOf(row.id)}'s store`,
  { phase: "sending", done: it.sent_bytes, total: it.total_bytes, seconds: it.seconds });

/** Where the page of the leader is, for what only it does; nothing when this is it. */
function leadersPage(state) {
  const url = state.members.find((it) => it.id === state.leader)?.client_urls[0] ?? "";
  if (state.here === state.leader || !/^https?:\/\//.test(url)) return null;
  return h("a", { href: `${url}/dashboard/`, rel: "noreferrer" }, "Its page");
}

export function open(place, { cluster, signal }) {
  const summary = h("p", { id: "summary" });
  const members = h("section", { class: "card", id: "members" });
  const sendings = h("div", { id: "sendings", role: "status" });
  const latencies = h("section", { class: "card" });
  const alarms = h("section", { class: "card", "aria-label": "Alarms" });
  const news = h("ol", { class: "list", id: "happenings" });
  const graphs = GRAPHS.map(([name, unit]) => ({ name, unit, element: chart() }));
  const latencyGraph = chart();
  const told = h("div", {});
  const actions = actionsOf(cluster, told);
  place.append(summary, alarms, members, sendings, mayAll() ? h("section", { class: "card" }, adding(told), told) : "",
    h("div", { class: "columns" }, graphs.map((it) => h("section", { class: "card" }, it.element))),
    h("div", { class: "columns" }, latencies, h("section", { class: "card" }, latencyGraph)),
    h("section", { class: "card" }, h("h2", {}, "What has happened here of late"), news),
    command("roost status --watch"));
  let newest = -1;

  const show = () => {
    const { state } = cluster;
    if (!state) return;
    const voters = state.members.filter((it) => !it.is_learner);
    const there = voters.filter((it) => it.age_s !== null && it.age_s < 3.5).length;
    const spare = there - (Math.floor(voters.length / 2) + 1);
    const health = spare < 0 ? "no majority: there are no writes" : `${spare} more may fail`;
    refresh(summary, state.leader
      ? [h("b", {}, cluster.nameOf(state.leader)), ` leads in term ${state.term}. `, leadersPage(state), " "]
      : h("span", { class: "bad" }, "Nobody leads. "),
    h("span", { class: spare < 1 && voters.length > 1 ? "bad" : "quiet" },
      `${there} of ${voters.length} voters are heard, ${health}.`));
    refresh(alarms, h("h2", {}, "Alarms"), state.alarms.length
      ? h("ul", { class: "list" }, state.alarms.map((it) => alarmRow(cluster, it)))
      : h("p", { class: "quiet" }, "None is raised."));
    refresh(members, table("Members", COLUMNS, state.members.map((it) => memberRow(it, actions))));
    refresh(sendings, state.members.flatMap((row) => (row.facts?.sendings ?? []).map((it) => sendingBar(cluster, row, it))));
    const leader = state.members.find((it) => it.id === state.leader);
    refresh(latencies, table("How long peers take to answer", LATENCY_COLUMNS,
      (leader?.facts?.latencies ?? []).map((it) => latencyRow(cluster, it))));
    latencyGraph.show("Answers of peers", "ms", [...cluster.latencies].map(([id, it]) =>
      ({ name: cluster.nameOf(id), points: it.points })));
    for (const it of graphs) it.element.show(it.name, it.unit, cluster.lines(it.name));
    const last = cluster.happenings[0]?.number ?? 0;
    if (last !== newest) {
      refresh(news, cluster.happenings.map((it) => h("li", {}, h("time", { class: "quiet" }, `${momentText(it.at_s)} `),
        it.text)));
      newest = last;
    }
  };
  cluster.addEventListener("state", show, { signal });
  show();
}
