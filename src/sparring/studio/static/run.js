/* One run: one slider moves samples, curves, scores and findings together; beside it another run or another moment. */

import { Problem, get, path, post } from "./api.js";
import { chart } from "./chart.js";
import { el, renew, svg } from "./dom.js";
import { meaning, named } from "./findings.js";
import { History } from "./history.js";
import { nearest, plain, score, withError } from "./numbers.js";
import { LIVE, progress, sampleAddress, status } from "./runs.js";
import { register, t } from "./strings.js";

register({
  en: {
    "run.back": "All runs", "run.samples": "Samples", "run.nosamples": "No samples drawn yet.", "run.slider": "Images seen", "run.play": "Play", "run.halt": "Stop playing",
    "run.where": "round {round}", "run.images": "{n} images", "run.with": "Compare with", "run.with.none": "nothing", "run.with.moment": "another moment of this run",
    "run.wipe": "Where one picture ends and the other begins", "run.moment": "Moment of B", "run.curves": "Curves", "run.nocurves": "No losses recorded yet.",
    "run.curves.note": "Press a curve to go to that time. Dashed lines are those of {name}.", "run.curves.alone": "Press a curve to go to that time. Amber lines: where a finding begins.",
    "run.losses": "{player}: losses", "run.scores": "{player}: scores", "run.distance": "Distance to the data, as the doctor measures it", "run.shares": "What the doctor sees; 1 is as real data",
    "run.judges": "Far apart: it tells real from generated. Together: it cannot.", "run.doctor": "Doctor", "run.healthy": "Nothing was found in {n} looks.", "run.unlooked": "The doctor has not looked yet.",
    "run.since": "since round {round}", "run.ahead": "not yet at this time", "run.evidence": "Evidence", "run.try": "Try", "run.remedied": "Rolled back to round {round}: {changed}",
    "run.judged": "Scores", "run.unjudged": "Not judged yet.", "run.metric": "Metric", "run.value": "Samples", "run.floor": "Floor", "run.times": "× floor",
    "run.better.lower": "lower is better", "run.better.higher": "higher is better", "run.better.nearer 0": "nearer 0 is better",
    "run.floor.note": "Bars are ± 2 standard errors. Blue: what real data score, the floor; red: the samples{b}.", "run.floor.b": "; amber: those of {name}",
    "run.differences": "What was told differently", "run.same": "Nothing: the two were told the same.", "run.setting": "Setting", "run.config": "Configuration", "run.machine": "Machine",
    "run.pause": "Pause", "run.pause.help": "Saves and stops; it can go on later, bitwise as if nothing had happened.", "run.resume": "Go on", "run.stop": "Stop at once",
    "run.stop.help": "Ends now; what was learnt since the last checkpoint is lost.", "run.explore": "Explore the model", "run.like": "Train another like this", "run.talk": "What the training says",
    "run.asked.pause": "Saving and stopping", "run.asked.stop": "Stopping", "run.asked.resume": "Going on", "run.failed": "It did not start", "run.change": "Change the settings",
    "chart.cut": "spikes cut off", "chart.images": "{n} images", "run.alt": "Samples of {name} at {when}", "run.unseen": "This picture cannot be shown: {why}",
  },
  zh: {
    "run.back": "全部训练", "run.samples": "样本", "run.nosamples": "还没有样本。", "run.slider": "见过的图片数", "run.play": "播放", "run.halt": "停止播放",
    "run.where": "第 {round} 轮", "run.images": "{n} 张图片", "run.with": "对比", "run.with.none": "无", "run.with.moment": "本次训练的另一时刻",
    "run.wipe": "两张图的分界", "run.moment": "B 的时刻", "run.curves": "曲线", "run.nocurves": "还没有损失记录。",
    "run.curves.note": "点击曲线可跳到那一时刻。虚线属于 {name}。", "run.curves.alone": "点击曲线可跳到那一时刻。琥珀色竖线：问题开始之处。",
    "run.losses": "{player}：损失", "run.scores": "{player}：评分", "run.distance": "医生测得的与数据的距离", "run.shares": "医生所见；1 表示与真实数据相同",
    "run.judges": "分得开：能分辨真假。合在一起：分辨不了。", "run.doctor": "医生", "run.healthy": "检查了 {n} 次，没有发现问题。", "run.unlooked": "医生还没有检查。",
    "run.since": "从第 {round} 轮起", "run.ahead": "此时尚未发生", "run.evidence": "依据", "run.try": "建议", "run.remedied": "退回第 {round} 轮：{changed}",
    "run.judged": "分数", "run.unjudged": "还没有评估。", "run.metric": "指标", "run.value": "样本", "run.floor": "下限", "run.times": "× 下限",
    "run.better.lower": "越低越好", "run.better.higher": "越高越好", "run.better.nearer 0": "越接近 0 越好",
    "run.floor.note": "横线为 ± 2 个标准误差。蓝色：真实数据的得分，即下限；红色：样本{b}。", "run.floor.b": "；琥珀色：{name} 的样本",
    "run.differences": "设置的不同之处", "run.same": "没有：两次训练的设置相同。", "run.setting": "设置", "run.config": "配置", "run.machine": "机器",
    "run.pause": "暂停", "run.pause.help": "保存并停下；以后可以继续，结果逐位相同，如同没有停过。", "run.resume": "继续", "run.stop": "立即停止",
    "run.stop.help": "马上结束；上次保存之后学到的会丢失。", "run.explore": "探索模型", "run.like": "照此再训练一次", "run.talk": "训练程序的话",
    "run.asked.pause": "正在保存并停下", "run.asked.stop": "正在停止", "run.asked.resume": "正在继续", "run.failed": "没有开始", "run.change": "修改设置",
    "chart.cut": "尖峰已截去", "chart.images": "{n} 张图片", "run.alt": "{name} 在 {when} 的样本", "run.unseen": "这张图无法显示：{why}",
  },
});

/* A run that is followed: its facts, its events, and which of its samples belong to a time. */
class Followed {
  constructor(name) { this.name = name; this.history = new History(); this.facts = null; this.looking = null; }

  /* One look at a time: of two at once each would add the same events. */
  look(signal) { return this.looking ??= this.read(signal).finally(() => { this.looking = null; }); }

  async read(signal) {
    const facts = await get(path("api/runs", this.name), signal);
    let changed = JSON.stringify(facts) !== JSON.stringify(this.facts);
    this.facts = facts;
    if (facts.config) for (let more = true; more;) {
      const answer = await get(`${path("api/runs", this.name, "events")}?of=${encodeURIComponent(this.history.of)}&at=${this.history.at}`, signal);
      changed = this.history.take(answer) || changed;
      more = answer.more;
    }
    return changed;
  }

  /* The newest samples that were drawn by then; the first ones before any. */
  sample(images) {
    const stops = this.history.stops();
    let index = stops.length ? 0 : -1;
    while (index + 1 < stops.length && stops[index + 1] <= images + 0.5) index++;
    return index < 0 ? null : this.history.samples[index];
  }

  /* Files of this name are others after the events began anew, and after a rollback. */
  address(file) { return sampleAddress(this.name, file, `${this.history.of}-${this.history.remedies.length}`); }

  when(sample) {
    return t("run.where", { round: plain(sample.round) }) + ", " + t("run.images", { n: plain(sample.images ?? this.history.seen(sample.round)) });
  }
}

/* A frame that shows one sample after another: a picture, or text, and what is heard or moves beside it. */
const frame = (letter) => {
  const image = el("img", { class: "sharp", draggable: "false" }), text = el("pre", { hidden: true }), trouble = el("p", { class: "empty", hidden: true });
  const element = el("div", { class: "frame frame-" + letter }, image, text, trouble), beside = el("div", { class: "beside" });
  let shown = "";
  image.addEventListener("error", () => { if (image.getAttribute("src")) fail("PNG"); });
  const fail = (why) => { image.hidden = true; text.hidden = true; trouble.hidden = false; trouble.textContent = t("run.unseen", { why }); };
  const show = async (run, sample) => {
    const address = sample ? run.address(sample.file) : "";
    if (address === shown) return;
    shown = address;
    trouble.hidden = true;
    if (!sample) { image.hidden = true; text.hidden = true; return; }
    const words = sample.file.endsWith(".txt"), others = sample.beside && typeof sample.beside === "object" ? sample.beside : {};
    image.hidden = words; text.hidden = !words;
    beside.replaceChildren(...["wav", "gif"].filter((kind) => typeof others[kind] === "string").map((kind) => {
      const src = run.address(others[kind]), label = t("run.alt", { name: run.name, when: run.when(sample) });
      return kind === "wav" ? el("audio", { controls: true, src, "aria-label": label }) : el("img", { src, alt: label, class: "sharp" });
    }));
    if (!words) { image.src = address; image.alt = t("run.alt", { name: run.name, when: run.when(sample) }); return; }
    try {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error((await answer.json()).error);
      const told = await answer.text();
      if (shown === address) text.textContent = told;
    } catch (error) { if (shown === address) fail(error.message); }
  };
  return { element, beside, image, show };
};

/* ± 2 standard errors of samples and floor on one axis. */
const bars = (parts) => {
  const ends = parts.flatMap(({ value, se }) => [value - 2 * (se || 0), value + 2 * (se || 0)]);
  const low = Math.min(...ends), high = Math.max(...ends), pad = (high - low) * 0.12 || 1;
  const x = (value) => 4 + 132 * (value - low + pad) / (high - low + 2 * pad), height = 9 * parts.length + 3;
  return svg("svg", { class: "bars", viewBox: `0 0 140 ${height}`, width: 140, height, "aria-hidden": "true" }, parts.map(({ value, se, colour }, i) => svg("g", { class: "c" + colour },
    svg("line", { x1: x(value - 2 * (se || 0)), x2: x(value + 2 * (se || 0)), y1: 6 + 9 * i, y2: 6 + 9 * i, stroke: "currentColor", "stroke-width": 2 }),
    svg("circle", { cx: x(value), cy: 6 + 9 * i, r: 3.5, fill: "currentColor" }))));
};

const number = (value) => typeof value === "number" && Number.isFinite(value);

const scores = (run, other) => {
  const own = run.facts.evaluation?.metrics ?? {}, theirs = other?.facts?.evaluation?.metrics ?? {};
  const names = [...new Set([...Object.keys(own), ...Object.keys(theirs)])].filter((name) => number(own[name]?.value) || number(theirs[name]?.value));
  if (!names.length) return el("p", { class: "empty" }, t("run.unjudged"));
  const rows = names.map((name) => {
    const a = own[name] ?? {}, b = theirs[name] ?? {}, known = number(a.value) ? a : b, parts = [];
    if (number(known.floor)) parts.push({ value: known.floor, se: known.floor_se, colour: 1 });
    if (number(a.value)) parts.push({ value: a.value, se: a.se, colour: 0 });
    if (number(b.value)) parts.push({ value: b.value, se: b.se, colour: 2 });
    const better = ["lower", "higher", "nearer 0"].includes(known.better) ? t("run.better." + known.better) : "";
    return el("tr", {}, el("th", { scope: "row" }, name, " ", el("em", {}, better)), el("td", {}, number(a.value) ? withError(a.value, a.se) : "–"), other ? el("td", {}, number(b.value) ? withError(b.value, b.se) : "–") : null,
      el("td", {}, number(known.floor) ? withError(known.floor, known.floor_se) : "–"), el("td", {}, number(a.times_floor) ? score(a.times_floor) + "×" : "–"), el("td", { class: "drawn" }, bars(parts)));
  });
  const heads = [t("run.metric"), other ? "A" : t("run.value"), other ? "B" : null, t("run.floor"), t("run.times"), ""].filter((head) => head !== null);
  const judged = run.facts.evaluation ?? {};
  return [el("div", { class: "wide" }, el("table", { class: "metrics" }, el("thead", {}, el("tr", {}, heads.map((head) => head ? el("th", { scope: "col" }, head) : el("td")))), el("tbody", {}, rows))),
    el("p", { class: "fine" }, t("run.floor.note", { b: other ? t("run.floor.b", { name: other.name }) : "" }), typeof judged.floor === "string" ? " " + judged.floor + "." : "")];
};

const sentence = (value) => String(value ?? "").replace(/[^.。!?]$/, "$&.");
const flat = (values, prefix = "") => Object.entries(values ?? {}).flatMap(([key, value]) =>
  value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length ? flat(value, `${prefix}${key}.`) : [[prefix + key, value]]);
const words = (value) => value === null || value === undefined ? "–" : Array.isArray(value) ? value.slice(0, 40).map(words).join(", ") || "–" : typeof value === "object" ? "–" : String(value);
const table = (values) => el("table", { class: "settings" }, el("tbody", {}, flat(values).map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, words(value))))));

export async function mount(root, context) {
  const name = context.argument, asked = context.query.get("with");
  const run = new Followed(name), stop = new AbortController();
  let other = null, moment = null, stops = [], now = null, following = true, timer = null, player = null, drawn = {}, closed = false;

  const title = el("h1", {}, name), facts = el("p", { class: "soft" }), state = el("div", { class: "state" }), actions = el("div", { class: "actions" });
  const stage = el("div", { class: "stage" }), a = frame("a"), b = frame("b"), empty = el("p", { class: "empty" }, t("run.nosamples"));
  const edge = el("div", { class: "edge", hidden: true }), labels = el("div", { class: "letters", hidden: true }, el("span", {}, "A"), el("span", {}, "B"));
  const wipe = el("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": t("run.wipe"), class: "wipe", hidden: true });
  const slider = el("input", { type: "range", min: "0", max: "0", value: "0", step: "1", id: "slider", "aria-label": t("run.slider") });
  const play = el("button", { type: "button", id: "play", "aria-label": t("run.play") }, svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, svg("path", { class: "go", d: "M2 0.5v11L11.5 6z" }), svg("path", { class: "halt", d: "M1.5 1h3v10h-3zM7.5 1h3v10h-3z" })));
  const where = el("output", { id: "where" }), against = el("select", { id: "with" }), momentSlider = el("input", { type: "range", min: "0", max: "0", value: "0", "aria-label": t("run.moment") });
  const momentLine = el("label", { class: "moment", hidden: true }, el("span", {}, t("run.moment")), momentSlider, el("output"));
  const curves = el("div", { class: "curves" }), doctor = el("div"), judged = el("div"), differences = el("div"), details = el("div"), talk = el("div");
  stage.append(a.element, b.element, edge, labels);

  const letterOf = () => other || moment !== null;

  /* B lies over A, and is seen to the right of the edge only. */
  const cut = () => {
    const share = Number(wipe.value);
    b.element.style.clipPath = letterOf() ? `inset(0 0 0 ${share}%)` : "inset(0 0 0 100%)";
    edge.style.left = share + "%";
    for (const node of [edge, wipe, labels]) node.hidden = !letterOf();
    b.element.hidden = !letterOf();
  };

  const show = (index) => {
    if (!stops.length) return;
    const at = Math.min(stops.length - 1, Math.max(0, index));
    slider.value = String(at);
    now = stops[at];
    const sample = run.sample(now);
    a.show(run, sample);
    const beside = other ? other.sample(now) : moment !== null ? run.history.samples[moment] : null;
    if (letterOf()) b.show(other ?? run, beside);
    const told = sample ? run.when(sample) : t("run.images", { n: plain(now) });
    where.replaceChildren(el("b", {}, letterOf() ? "A: " : "", told), beside ? el("span", {}, "B: " + (other ?? run).when(beside)) : "");
    slider.setAttribute("aria-valuetext", told);
    for (const key in drawn) drawn[key].at(now);
    for (const card of doctor.querySelectorAll("[data-at]")) card.classList.toggle("ahead", Number(card.dataset.at) > now + 0.5);
  };
  const go = (images) => { halt(); if (stops.length) { const at = nearest(stops, images); following = at === stops.length - 1; show(at); } };

  const measure = () => {
    const was = now;
    stops = [...new Set([...run.history.stops(), ...(other ? other.history.stops() : [])])].sort((x, y) => x - y);
    slider.max = String(Math.max(0, stops.length - 1));
    slider.disabled = play.disabled = stops.length < 2;
    empty.hidden = stops.length > 0;
    stage.hidden = stops.length === 0;
    momentSlider.max = String(Math.max(0, run.history.samples.length - 1));
    if (stops.length) show(following || was === null ? stops.length - 1 : nearest(stops, was));
  };

  const findings = () => {
    const looks = run.history.probes.length, found = run.history.findings;
    const cards = found.map((event) => {
      const since = Number.isInteger(event.since) ? event.since : event.round, at = run.history.seen(since);
      const evidence = event.evidence && typeof event.evidence === "object" ? Object.entries(event.evidence).map(([key, value]) => `${key} ${score(value)}`).join(", ") : "";
      return el("article", { class: "finding", "data-at": String(at) }, el("header", {}, el("h3", {}, named(event.kind)), el("button", { type: "button", class: "plain", onclick: () => go(at) }, t("run.since", { round: plain(since) })), el("em", {}, t("run.ahead"))),
        meaning(event.kind), el("p", {}, sentence(event.what)), evidence ? el("p", { class: "fine" }, t("run.evidence") + ": " + evidence) : null, el("p", {}, el("b", {}, t("run.try") + ": "), sentence(event.remedy)));
    });
    const remedies = run.history.remedies.map((event) => el("p", { class: "fine" }, t("run.remedied", { round: plain(event.round), changed: Array.isArray(event.changed) ? event.changed.join("; ") : "" })));
    renew(doctor, [found, cards.map((card) => card.dataset.at), run.history.remedies, cards.length || looks], () => [cards.length ? cards : el("p", { class: "empty" }, looks ? t("run.healthy", { n: looks }) : t("run.unlooked")), remedies]);
  };

  const draw = () => {
    const groups = run.history.charts(), theirs = other ? other.history.charts() : [];
    const end = Math.max(run.history.end, other ? other.history.end : 0);
    const marks = run.history.findings.map((event) => ({ images: run.history.seen(Number.isInteger(event.since) ? event.since : event.round), title: named(event.kind) }));
    const wanted = groups.map((group) => group.key).join("|");
    if (wanted !== curves.dataset.keys) {
      for (const key in drawn) drawn[key].close();
      drawn = {};
      for (const group of groups) {
        const terms = group.lines.map((line) => line.term), judges = terms.includes("real score") && terms.includes("fake score");
        const player = group.player[0]?.toUpperCase() + group.player.slice(1);
        drawn[group.key] = chart(group.player ? t("run." + group.kind, { player }) : t("run." + group.kind, { player: "" }).replace(/^[:：]\s*/, ""), judges ? t("run.judges") : "", go);
      }
      curves.replaceChildren(...(groups.length ? Object.values(drawn).map((one) => one.element) : [el("p", { class: "empty" }, t("run.nocurves"))]), el("p", { class: "fine", id: "curves-note" }));
      curves.dataset.keys = wanted;
    }
    for (const group of groups) {
      const same = theirs.find((each) => each.key === group.key);
      drawn[group.key].set([...group.lines, ...(same ? same.lines.map((line) => ({ ...line, term: "B " + line.term, other: true })) : [])], marks, end);
      drawn[group.key].at(now);
    }
    curves.querySelector("#curves-note").textContent = !groups.length ? "" : other ? t("run.curves.note", { name: other.name }) : t("run.curves.alone");
  };

  const act = (what) => async () => {
    try {
      await post(path("api/runs", name, what));
      context.tell(t("run.asked." + what));
      clearTimeout(timer);
      timer = setTimeout(() => again().catch(() => {}), 300);
    } catch (error) { context.tell(error.message); }
  };

  const heading = () => {
    const row = run.facts.row, config = run.facts.config;
    facts.textContent = [row.recipe, row.preset, row.data, row.seed !== null && row.seed !== undefined ? "seed " + row.seed : null, row.started ? String(row.started).replace("T", " ").slice(0, 16) : null].filter(Boolean).join(" · ");
    state.replaceChildren(status(row.status), progress(row), row.message ? el("p", { class: "wrong" }, row.message) : "");
    const live = LIVE.includes(row.status), mine = [];
    if (row.status === "training") mine.push(el("button", { type: "button", class: "button", id: "pause", title: t("run.pause.help"), onclick: act("pause") }, t("run.pause")));
    if (live) mine.push(el("button", { type: "button", class: "button", id: "stop", title: t("run.stop.help"), onclick: act("stop") }, t("run.stop")));
    if (["paused", "interrupted", "broken"].includes(row.status)) mine.push(el("button", { type: "button", class: "primary", id: "resume", onclick: act("resume") }, t("run.resume")));
    if (config && !live && context.pages.includes("explore")) mine.push(el("a", { class: "button", href: "#/explore/" + encodeURIComponent(name) }, t("run.explore")));
    if (config) mine.push(el("a", { class: "button", href: `#/new?like=${encodeURIComponent(name)}` }, t("run.like")));
    const focused = document.activeElement?.id;
    renew(actions, [row.status, Boolean(config)], () => mine);
    if (focused && ["pause", "stop", "resume"].includes(focused)) actions.querySelector("#" + focused)?.focus();
    const job = run.facts.job, failed = job?.status === "failed";
    const before = talk.querySelector("pre"), held = before && before.scrollTop + before.clientHeight < before.scrollHeight - 4 ? before.scrollTop : null;
    if (renew(talk, [job, Boolean(config)], () => job && (job.talk || failed) ? el("section", { class: failed && !config ? "problem" : null }, el("h2", {}, failed && !config ? t("run.failed") : t("run.talk")), el("pre", { class: "talk" }, failed && job.message ? job.message : job.talk),
      failed && !config ? el("a", { class: "button", href: "#/new?again" }, t("run.change")) : null) : [])) for (const said of talk.querySelectorAll("pre")) said.scrollTop = held ?? said.scrollHeight;   /* the end, unless another place is being read */
    if (config) renew(details, [config, run.facts.environment], () => [el("details", {}, el("summary", {}, t("run.config")), table({ recipe: config.recipe, preset: config.preset, model: config.model, data: config.data, how: config.how })), el("details", {}, el("summary", {}, t("run.machine")), table(run.facts.environment))]);
  };

  const differ = async () => {
    differences.replaceChildren();
    if (!other) return;
    const found = (await get(`/api/differences?a=${encodeURIComponent(name)}&b=${encodeURIComponent(other.name)}`, stop.signal)).differences;
    differences.replaceChildren(el("section", {}, el("h2", {}, t("run.differences")), found.length ? el("div", { class: "wide" }, el("table", { class: "settings two" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("run.setting")), el("th", { scope: "col" }, "A: " + name), el("th", { scope: "col" }, "B: " + other.name))),
      el("tbody", {}, found.map((each) => el("tr", {}, el("th", { scope: "row" }, each.setting), each.values.map((value) => el("td", {}, words(value)))))))) : el("p", { class: "empty" }, t("run.same"))));
  };

  const paint = () => {
    heading();
    if (!run.facts.config) return;
    body.hidden = false;
    draw();
    findings();
    measure();
    renew(judged, [run.facts.evaluation, other && [other.name, other.facts?.evaluation]], () => scores(run, other));
    cut();
  };

  const again = async () => {
    try {
      const changed = await run.look(stop.signal);
      const theirs = other && other.facts && LIVE.includes(other.facts.row.status) ? await other.look(stop.signal) : false;
      if (closed) return;
      if (changed || theirs) paint();
    } catch (error) {
      if (error.name === "AbortError" || closed) return;
      if (!run.facts) throw error;
      context.tell(error instanceof Problem && error.status === 0 ? t("error.unreachable") : error.message);
    }
    clearTimeout(timer);   /* a button may have set another */
    timer = setTimeout(() => again().catch(() => {}), document.hidden ? 10000 : LIVE.includes(run.facts.row.status) ? 1000 : 4000);
  };

  const halt = () => { clearInterval(player); player = null; play.classList.remove("playing"); play.setAttribute("aria-label", t("run.play")); };
  const begin = () => {
    if (Number(slider.value) === stops.length - 1) show(0);
    following = false;
    player = setInterval(() => { show(Number(slider.value) + 1); if (Number(slider.value) >= stops.length - 1) { following = true; halt(); } }, Math.min(500, Math.max(80, 6000 / stops.length)));
    play.classList.add("playing");
    play.setAttribute("aria-label", t("run.halt"));
  };

  const compareWith = async (value) => {
    other = null;
    moment = null;
    if (value === ":moment") moment = 0;
    else if (value) { const found = new Followed(value); await found.look(stop.signal); other = found; }
    momentLine.hidden = moment === null;
    if (moment !== null) { momentSlider.value = "0"; momentLine.querySelector("output").textContent = run.history.samples.length ? run.when(run.history.samples[0]) : ""; }
    if (closed) return;
    paint();
    await differ();
  };

  play.addEventListener("click", () => player === null ? begin() : halt());
  slider.addEventListener("input", () => { halt(); following = Number(slider.value) === stops.length - 1; show(Number(slider.value)); });
  momentSlider.addEventListener("input", () => { moment = Number(momentSlider.value); momentLine.querySelector("output").textContent = run.when(run.history.samples[moment]); show(Number(slider.value)); });
  wipe.addEventListener("input", cut);
  against.addEventListener("change", () => compareWith(against.value).catch((error) => { if (error.name !== "AbortError") context.tell(error.message); }));
  const drag = (event) => {
    if (!(event.buttons & 1) || !letterOf()) return;
    const box = stage.getBoundingClientRect();
    wipe.value = String(100 * (event.clientX - box.left) / box.width);
    cut();
  };
  stage.addEventListener("pointerdown", drag);
  stage.addEventListener("pointermove", drag);
  const keys = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
    halt();
    const to = Number(slider.value) + step;
    following = to >= stops.length - 1;
    show(to);
  };
  addEventListener("keydown", keys);

  const body = el("div", { hidden: true },
    el("section", { class: "explore" },
      el("div", { class: "show" }, el("h2", {}, t("run.samples")), empty, stage, wipe, el("div", { class: "player" }, play, slider, where), a.beside, b.beside, el("label", { class: "against" }, el("span", {}, t("run.with")), against), momentLine),
      el("div", {}, el("h2", {}, t("run.curves")), curves)),
    el("section", {}, el("h2", {}, t("run.doctor")), doctor), el("section", {}, el("h2", {}, t("run.judged")), judged), differences, el("section", { class: "details" }, details));
  await run.look(stop.signal);
  const listed = (await get("/api/runs", stop.signal)).names.filter((each) => each !== name);
  against.append(el("option", { value: "" }, t("run.with.none")), el("option", { value: ":moment" }, t("run.with.moment")), ...listed.map((each) => el("option", { value: each }, each)));
  root.append(el("a", { href: "#/runs", class: "fine" }, "← " + t("run.back")), el("div", { class: "head" }, title, actions), facts, state, talk, body);
  paint();
  if (asked && listed.includes(asked)) { against.value = asked; await compareWith(asked); }
  timer = setTimeout(() => again().catch(() => {}), 1000);
  return () => { closed = true; stop.abort(); clearTimeout(timer); halt(); removeEventListener("keydown", keys); for (const key in drawn) drawn[key].close(); };
}
