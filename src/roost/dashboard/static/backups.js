// Backups of this member: what is there, one more, is one whole, and a file for whoever takes it along.

import { file, page } from "./api.js";
import { button, command, doing, fill, h, say, table } from "./dom.js";
import { bar } from "./progress.js";
import { bytesText, durationText, momentText } from "./words.js";

const LOOK_MS = 400;
const WORK = { save: "Saving a backup", verify: "Verifying a backup" };

export function backupsCard(signal) {
  const list = h("div", { id: "backups" }), work = h("div", { id: "backup-work", role: "status" });
  let timer = 0;

  const take = (name, path) => doing(async () => {
    const beganMs = performance.now();
    const blob = await file(path, signal, (done, total) =>
      fill(work, bar(`Fetching ${name}`, { phase: "reading", done, total, seconds: (performance.now() - beganMs) / 1000 })));
    const url = URL.createObjectURL(blob);
    h("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    fill(work, h("p", {}, `${name}: ${bytesText(blob.size)} have come. Check it where it is: `, h("code", {}, `roost snapshot status ${name}`)));
  });
  const begin = (path, body = {}) => doing(async () => {
    follow(await page(path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } }));
  });
  const follow = (job) => {
    clearTimeout(timer);
    if (!job.is_over) {
      fill(work, bar(`${WORK[job.kind]}${job.name ? ` (${job.name})` : ""}`,
        { phase: job.phase, done: job.done_bytes, total: job.total_bytes, seconds: job.seconds }));
      timer = setTimeout(async () => {
        try {
          const now = await page("backups/job", { signal });
          follow(now);
          if (now.is_over && now.kind === "save") await look();
        } catch (error) {
          if (error.name !== "AbortError") say(error.message, true);
        }
      }, LOOK_MS);
    } else if (job.kind) {
      const said = job.fault || job.said;
      fill(work, h("p", { class: job.fault ? "bad" : "good" }, `${WORK[job.kind]}${job.name ? ` (${job.name})` : ""}: ${said}`));
    }
  };
  const look = async () => {
    const said = await page("backups", { signal });
    if (signal.aborted) return;
    if (!said.place) {
      fill(list, h("p", {}, "This member keeps none: it was started without ", h("code", {}, "--backup-dir"), "."));
      return;
    }
    const full = said.full_interval_s ? `, a full one every ${durationText(said.full_interval_s)} and increments between` : "";
    const kept = said.full_interval_s ? "newest full ones of each member, with their increments," : "newest of each member";
    const rule = `One every ${durationText(said.interval_s)}${full}; the ${said.keep_count} ${kept} are kept, and as many of those by hand, in `;
    fill(list, h("p", {}, rule, h("code", {}, said.place), "."),
      h("div", { class: "row" }, button("Save one now", begin("backups"))),
      said.backups.length ? table("Backups", ["Name", "Made", { name: "Size", isNumber: true }, ""], said.backups.map((it) => [
        h("code", {}, it.name), momentText(it.at_s), bytesText(it.size_bytes), [
          button("Verify", begin("backups/verify", { name: it.name }), { class: "small", "aria-label": `Verify ${it.name}` }), " ",
          button("Fetch", take(it.name, `backups/file?${new URLSearchParams({ name: it.name })}`),
            { class: "small", "aria-label": `Fetch ${it.name}` })]])) : h("p", { class: "quiet" }, "There are none yet."),
      said.is_cut ? h("p", { class: "quiet" }, "There are older ones.") : []);
    follow(said.job);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  doing(look)();
  return h("section", { class: "card" }, h("h2", {}, "Backups"), list, work,
    h("p", {}, "A backup of now can be fetched in any case. Whoever has one has all data, with the hashes of passwords."),
    h("div", { class: "row" }, button("Fetch one of now", take("roost-backup.db", "backups/now"))),
    command("roost snapshot save backup.db; roost snapshot status backup.db"));
}
