/* All runs, live: what each is doing, how it looks now, what it scores, what the doctor says. */

import { get, path, remove } from "./api.js";
import { el } from "./dom.js";
import { duration, percent, plain, score, withError } from "./numbers.js";
import { register, t } from "./strings.js";

register({
  en: {
    "runs.title": "Runs", "runs.none": "No runs yet in {folder}.", "runs.first": "Train the first one", "runs.filter": "Filter by name, recipe, data or state",
    "runs.compare": "Compare the two", "runs.pick": "Compare {name}", "runs.count": "{shown} of {all}", "runs.sort": "Order",
    "runs.sort.new": "newest first", "runs.sort.name": "name", "runs.sort.score": "best score first", "runs.dismiss": "Dismiss", "runs.dismiss.one": "Dismiss {name}",
    "runs.run": "Run", "runs.state": "State", "runs.score": "Score", "runs.doctor": "Doctor", "runs.of": "{round} of {rounds} rounds", "runs.rounds": "{round} rounds",
    "runs.left": "about {time} left", "runs.findings.one": "1 finding", "runs.findings": "{n} findings", "runs.times": "{n}× floor", "runs.samples": "Newest samples of {name}",
    "status.training": "training", "status.judging": "being judged", "status.starting": "starting", "status.finished": "finished", "status.paused": "paused",
    "status.broken": "broken off", "status.interrupted": "interrupted", "status.unreadable": "unreadable", "status.failed": "did not start", "status.ended": "ended",
    "time.s": "{s} s", "time.m": "{m} min {s} s", "time.h": "{h} h {m} min",
  },
  zh: {
    "runs.title": "训练记录", "runs.none": "{folder} 里还没有训练记录。", "runs.first": "开始第一次训练", "runs.filter": "按名称、方法、数据或状态筛选",
    "runs.compare": "比较这两个", "runs.pick": "比较 {name}", "runs.count": "{all} 个中的 {shown} 个", "runs.sort": "排序",
    "runs.sort.new": "最新的在前", "runs.sort.name": "名称", "runs.sort.score": "分数最好的在前", "runs.dismiss": "移除", "runs.dismiss.one": "移除 {name}",
    "runs.run": "训练", "runs.state": "状态", "runs.score": "分数", "runs.doctor": "医生", "runs.of": "第 {round} 轮，共 {rounds} 轮", "runs.rounds": "{round} 轮",
    "runs.left": "约剩 {time}", "runs.findings.one": "1 个问题", "runs.findings": "{n} 个问题", "runs.times": "下限的 {n} 倍", "runs.samples": "{name} 的最新样本",
    "status.training": "训练中", "status.judging": "评估中", "status.starting": "正在启动", "status.finished": "已完成", "status.paused": "已暂停",
    "status.broken": "已中断", "status.interrupted": "被打断", "status.unreadable": "无法读取", "status.failed": "没有开始", "status.ended": "已结束",
    "time.s": "{s} 秒", "time.m": "{m} 分 {s} 秒", "time.h": "{h} 小时 {m} 分",
  },
});

export const LIVE = ["training", "judging", "starting"];
export const status = (name) => el("span", { class: "status status-" + name }, t("status." + name));

/* How far it is, and how long it will take. */
export const progress = (row) => {
  const words = row.rounds ? t("runs.of", { round: plain(row.round ?? 0), rounds: plain(row.rounds) }) : row.round !== null && row.round !== undefined ? t("runs.rounds", { round: plain(row.round) }) : "";
  const left = row.left !== null && row.left !== undefined ? ", " + t("runs.left", { time: duration(row.left) }) : "";
  const share = row.rounds ? Math.min(1, (row.round ?? 0) / row.rounds) : 0;
  const bar = row.rounds && LIVE.concat("paused", "interrupted").includes(row.status) ? el("progress", { max: "1", value: String(share), "aria-label": percent(share) }) : null;
  return el("div", { class: "progress" }, bar, el("small", {}, words + left));
};

export const sampleAddress = (name, file, of) => path("api/runs", name, "files") + "/" + file.split("/").map(encodeURIComponent).join("/") + "?of=" + encodeURIComponent(of);

const cells = (row, choose, chosen) => {
  const pictured = typeof row.sample === "string" && row.sample.endsWith(".png");
  const link = "#/run/" + encodeURIComponent(row.name);
  return [
    el("td", { class: "pick" }, el("input", { type: "checkbox", checked: chosen.has(row.name), "aria-label": t("runs.pick", { name: row.name }), onchange: () => choose(row.name) })),
    el("td", { class: "thumb" }, pictured ? el("a", { href: link, tabindex: "-1", "aria-hidden": "true" }, el("img", { src: sampleAddress(row.name, row.sample, `${row.started}-${row.findings}`), alt: "", loading: "lazy", class: "sharp" })) : null),
    el("th", { scope: "row" }, el("a", { href: link }, row.name), el("small", {}, [row.recipe, row.preset, row.data].filter(Boolean).join(" · "))),
    el("td", {}, status(row.status), progress(row)),
    el("td", { class: row.score ? "number" : "none" }, row.score ? [el("b", {}, withError(row.score.value, row.score.se)), el("small", {}, row.score.name, row.score.times_floor ? ", " + t("runs.times", { n: score(row.score.times_floor) }) : "")] : "–"),
    el("td", { class: row.findings ? null : "none" }, row.findings ? el("span", { class: "found-count" }, row.findings === 1 ? t("runs.findings.one") : t("runs.findings", { n: row.findings })) : "–"),
  ];
};

export async function mount(root, context) {
  const rows = new Map(), nodes = new Map(), chosen = new Set(), stop = new AbortController();
  let version = 0, order = [], timer = null, jobs = [];
  const filter = el("input", { type: "search", "aria-label": t("runs.filter"), placeholder: t("runs.filter"), oninput: () => arrange() });
  const sort = el("select", { "aria-label": t("runs.sort"), onchange: () => arrange() }, ["new", "name", "score"].map((name) => el("option", { value: name }, t("runs.sort." + name))));
  const compare = el("button", { type: "button", class: "button", disabled: true, onclick: () => { const [a, b] = chosen; context.go(`#/run/${encodeURIComponent(a)}?with=${encodeURIComponent(b)}`); } }, t("runs.compare"));
  const count = el("small", { "aria-live": "polite" }), body = el("tbody"), failed = el("div");
  const table = el("table", { class: "runs" }, el("thead", {}, el("tr", {}, el("td"), el("td"), ["run", "state", "score", "doctor"].map((name) => el("th", { scope: "col" }, t("runs." + name))))), body);
  const empty = el("p", { class: "empty", hidden: true });

  const choose = (name) => {
    if (!chosen.delete(name)) chosen.add(name);
    if (chosen.size > 2) { const [first] = chosen; chosen.delete(first); nodes.get(first).querySelector("input").checked = false; }
    compare.disabled = chosen.size !== 2;
  };

  const arrange = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (row) => [row.name, row.recipe, row.preset, row.data, row.status, t("status." + row.status)].join(" ").toLowerCase();
    let shown = order.filter((name) => rows.has(name) && words.every((word) => text(rows.get(name)).includes(word)));
    if (sort.value === "name") shown = [...shown].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    if (sort.value === "score") shown = [...shown].sort((a, b) => (rows.get(a).score?.times_floor ?? Infinity) - (rows.get(b).score?.times_floor ?? Infinity));
    const lines = shown.map((name) => nodes.get(name)), held = body.contains(document.activeElement) ? document.activeElement : null;
    if (lines.length !== body.children.length || lines.some((line, i) => line !== body.children[i])) body.replaceChildren(...lines);
    held?.focus({ preventScroll: true });   /* what has moved has lost the focus */
    count.textContent = t("runs.count", { shown: shown.length, all: order.length });
    table.hidden = !order.length;
    empty.hidden = order.length > 0 || jobs.length > 0;
  };

  const tellOfJobs = () => failed.replaceChildren(...jobs.map((job) => el("section", { class: job.status === "failed" ? "problem" : null },
    el("h3", {}, el("a", { href: "#/run/" + encodeURIComponent(job.name) }, job.name), " ", status(job.status)), el("p", {}, job.message ?? ""),
    job.status === "starting" ? null : el("button", { type: "button", "aria-label": t("runs.dismiss.one", { name: job.name }), onclick: () => dismiss(job.name) }, t("runs.dismiss")))));

  const dismiss = async (name) => {
    try { await remove(path("api/starts", name)); } catch (error) { if (error.status !== 404) return context.tell(error.message); }
    jobs = jobs.filter((job) => job.name !== name);
    tellOfJobs();
    arrange();
    filter.focus();
  };

  const look = async () => {
    try {
      const found = await get("/api/runs?since=" + version, stop.signal);
      if (found.version < version) { version = 0; rows.clear(); }   /* the studio was started anew */
      const changed = found.rows.length || found.version !== version;
      version = found.version;
      order = found.names;
      const names = new Set(order);
      for (const name of rows.keys()) if (!names.has(name)) { rows.delete(name); nodes.delete(name); if (chosen.delete(name)) compare.disabled = true; }
      for (const row of found.rows) {
        rows.set(row.name, row);
        if (!nodes.has(row.name)) nodes.set(row.name, el("tr"));
        const line = nodes.get(row.name), held = [...line.querySelectorAll("a, input")].indexOf(document.activeElement);
        line.replaceChildren(...cells(row, choose, chosen));
        if (held >= 0) line.querySelectorAll("a, input")[held]?.focus({ preventScroll: true });
      }
      if (JSON.stringify(jobs) !== JSON.stringify(found.jobs)) { jobs = found.jobs; tellOfJobs(); }
      if (changed) arrange();
      root.removeAttribute("data-lost");
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!root.children.length && error.status) throw error;   /* there is no page yet to say it on */
      root.setAttribute("data-lost", "");
      context.tell(error.status === 0 ? t("error.unreachable") : error.message);
    }
    timer = setTimeout(() => look().catch(() => {}), document.hidden ? 10000 : 1500);
  };

  await look();
  const about = await get("/api/studio", stop.signal).catch(() => ({ runs: "" }));
  empty.append(t("runs.none", { folder: about.runs }), " ", el("a", { href: "#/new" }, t("runs.first")));
  root.append(el("div", { class: "head" }, el("h1", {}, t("runs.title")), count, el("span", { class: "tools" }, filter, sort, compare)), failed, el("section", { class: "list" }, table, empty));
  tellOfJobs();
  arrange();
  return () => { stop.abort(); clearTimeout(timer); };
}
