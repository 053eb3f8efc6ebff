/* Where one is in the latents: the picture there, and what moves it. */

import { post, postBlob } from "./api.js";
import { el, svg } from "./dom.js";
import { register, t } from "./strings.js";

register({
  en: {
    "place.alt": "The sample at this place", "place.seed": "Seed", "place.another": "Another", "place.save": "Save picture", "place.truncation": "Variety", "place.label": "Class", "place.any": "as the seed has it",
    "place.cluster": "Cluster (made up)", "place.caption": "Caption", "place.sliders": "Directions", "place.slider": "Direction {n}", "place.share": "{share} of all change", "place.zero": "Back to the middle", "place.more": "More directions",
    "place.note": "Along these the pictures change most, on average over many samples. What each means is for you to find out.", "place.near": "Nearest training pictures, and how far", "place.near.off": "Nearest training pictures cannot be shown: {why}",
    "place.distance": "{n} of 255", "place.words": "Words: {words}", "plane.title": "Between three samples", "plane.note": "Drag the point, or move it with the arrow keys. Each corner is a seed.",
    "plane.point": "Place between the three samples", "plane.corner": "Seed of corner {n}", "plane.new": "Three others", "place.projected": "your picture",
  },
  zh: {
    "place.alt": "此处的样本", "place.seed": "种子", "place.another": "换一个", "place.save": "保存图片", "place.truncation": "多样性", "place.label": "类别", "place.any": "由种子决定",
    "place.cluster": "聚类（自动得出）", "place.caption": "文字描述", "place.sliders": "方向", "place.slider": "方向 {n}", "place.share": "占全部变化的 {share}", "place.zero": "回到中间", "place.more": "更多方向",
    "place.note": "对许多样本平均而言，图片沿这些方向变化最大。各自意味着什么，由您来发现。", "place.near": "最接近的训练图片及其差距", "place.near.off": "无法显示最接近的训练图片：{why}",
    "place.distance": "{n} / 255", "place.words": "词汇：{words}", "plane.title": "在三个样本之间", "plane.note": "拖动圆点，或用方向键移动。每个角是一个种子。",
    "plane.point": "三个样本之间的位置", "plane.corner": "第 {n} 个角的种子", "plane.new": "换三个", "place.projected": "您的图片",
  },
});

export const chance = () => Math.floor(Math.random() * 1e6);

/* The place, and who wants to know when it moves. `told` is what the model is asked with. */
export class Place {
  constructor(model) {
    const { facts } = model;
    this.seeds = [0]; this.weights = [1]; this.sliders = {}; this.truncation = 1; this.cluster = null; this.label = null;
    this.caption = facts.words.length ? facts.words.slice(0, 2).join(" ") : null;
    this.listeners = [];
  }

  told(more = {}) {
    return { seeds: this.seeds, weights: this.weights, sliders: this.sliders, truncation: this.truncation, label: this.label, cluster: this.cluster, caption: this.caption, ...more };
  }

  at(seed) { this.seeds = [seed]; this.weights = [1]; this.changed(); }
  changed(how = {}) { this.listeners.forEach((listener) => listener(how)); }
}

/* One question at a time, and then the newest: a slider never waits behind its own past. */
export const latest = (ask) => {
  let busy = false, next = null;
  const run = async (value) => {
    if (busy) { next = { value }; return; }
    busy = true;
    try { await ask(value); } finally {
      busy = false;
      if (next) { const { value: newest } = next; next = null; run(newest); }
    }
  };
  return run;
};

/* The picture in large; nearest training pictures beneath, once it rests. */
export const stage = (model, place) => {
  const image = el("img", { class: "sharp xp-picture", alt: t("place.alt"), draggable: "false" }), wrong = el("p", { class: "wrong", role: "alert" });
  const near = el("div", { class: "xp-near" }), nearTitle = el("h3", {}, t("place.near")), seed = el("input", { type: "number", min: 0, step: 1, "aria-label": t("place.seed") });
  let url = null, timer = null, silent = false;
  model.closing.push(() => { clearTimeout(timer); if (url) URL.revokeObjectURL(url); });
  const draw = latest(async () => {
    try {
      const picture = await postBlob(model.address("explore", "picture"), place.told(), model.signal), fresh = URL.createObjectURL(picture);
      image.src = fresh;
      await image.decode().catch(() => {});
      if (url) URL.revokeObjectURL(url);
      url = fresh;
      wrong.textContent = "";
      image.dispatchEvent(new Event("drawn"));
    } catch (error) { if (error.name !== "AbortError") wrong.textContent = error.message; }
  });
  const look = async () => {
    try {
      const { neighbours } = await post(model.address("explore", "near"), { places: [place.told()], count: 4 }, model.signal);
      nearTitle.textContent = t("place.near");
      nearTitle.className = "";
      near.replaceChildren(...neighbours[0].map(({ picture, distance }) => el("figure", {}, el("img", { class: "sharp", src: picture, alt: t("place.near") }), el("figcaption", {}, t("place.distance", { n: Math.round(distance) })))));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 409) silent = true;   /* there are none: asked once is enough */
      nearTitle.textContent = t("place.near.off", { why: error.message });
      nearTitle.className = "fine";
      near.replaceChildren();
    }
  };
  place.listeners.push(() => {
    if (document.activeElement !== seed) seed.value = place.seeds.length === 1 && typeof place.seeds[0] === "number" ? place.seeds[0] : "";
    seed.placeholder = typeof place.seeds[0] === "string" ? t("place.projected") : place.seeds.join(", ");
    draw();
    clearTimeout(timer);
    if (!silent) timer = setTimeout(look, 500);
  });
  seed.addEventListener("input", () => { const number = seed.valueAsNumber; if (Number.isSafeInteger(number) && number >= 0) place.at(number); });
  const save = () => { if (url) el("a", { href: url, download: `${model.name}-${place.seeds.join("-")}.png` }).click(); };
  return el("div", { class: "xp-stage" }, image, wrong,
    el("div", { class: "xp-line" }, el("label", {}, t("place.seed"), " ", seed), el("button", { type: "button", class: "button", onclick: () => place.at(chance()) }, t("place.another")),
      el("button", { type: "button", class: "button", onclick: save }, t("place.save"))),
    nearTitle, near);
};

/* A slider with its name and value; `double` click brings it home. */
const slider = (name, note, from, to, step, home, moved) => {
  const input = el("input", { type: "range", min: from, max: to, step, value: home, "aria-label": name }), value = el("output", {}, String(home));
  const say = () => { value.textContent = Number(input.value).toFixed(step < 0.1 ? 2 : 1); };
  input.addEventListener("input", () => { say(); moved(Number(input.value)); });
  input.addEventListener("dblclick", () => { input.value = home; say(); moved(home); });
  input.home = () => { input.value = home; say(); };
  return { input, element: el("label", { class: "xp-slider", title: note }, el("span", {}, name), input, value) };
};

export const controls = (model, place) => {
  const { facts } = model, picks = [];
  if (facts.classes.length || facts.clusters) {
    const names = facts.clusters ? [...Array(facts.clusters).keys()].map(String) : facts.classes;
    const select = el("select", {}, el("option", { value: "" }, t("place.any")), names.map((name) => el("option", { value: name }, name)));
    select.addEventListener("change", () => {
      const chosen = select.value === "" ? null : select.value;
      if (facts.clusters) place.cluster = chosen === null ? null : Number(chosen); else place.label = chosen;
      place.changed({ all: true });
    });
    picks.push(el("label", { class: "xp-pick" }, el("span", {}, t(facts.clusters ? "place.cluster" : "place.label")), select));
  }
  if (facts.words.length) {
    const input = el("input", { type: "text", value: place.caption });
    input.addEventListener("change", () => { place.caption = input.value; place.changed({ all: true }); });
    picks.push(el("label", { class: "xp-pick" }, el("span", {}, t("place.caption")), input), el("p", { class: "fine" }, t("place.words", { words: facts.words.slice(0, 40).join(", ") })));
  }
  const variety = slider(t("place.truncation"), "", 0, 1, 0.05, 1, (value) => { place.truncation = value; place.changed({ all: true }); });
  const directions = facts.directions.map((share, n) => slider(t("place.slider", { n: n + 1 }), t("place.share", { share: (100 * share).toFixed(1) + " %" }), -5, 5, 0.1, 0, (value) => {
    if (value) place.sliders[n] = value; else delete place.sliders[n];
    place.changed();
  }));
  const zero = () => { place.sliders = {}; directions.forEach(({ input }) => input.home()); place.changed(); };
  const rest = directions.slice(6).map(({ element }) => element);
  return el("div", { class: "xp-controls" }, picks, variety.element,
    directions.length ? [el("div", { class: "xp-line" }, el("h2", {}, t("place.sliders")), el("button", { type: "button", class: "plain", onclick: zero }, t("place.zero"))),
      directions.slice(0, 6).map(({ element }) => element), rest.length ? el("details", {}, el("summary", {}, t("place.more")), rest) : null, el("p", { class: "fine" }, t("place.note"))] : null);
};

/* A triangle: the nearer to a corner, the more of its sample. */
export const plane = (model, place) => {
  const corners = [[130, 12], [14, 214], [246, 214]], held = { seeds: [1, 2, 3], point: [130, 146.7] };
  const dot = svg("circle", { r: 10, class: "xp-dot", tabindex: 0, role: "slider", "aria-label": t("plane.point"), "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 33 });
  const view = svg("svg", { viewBox: "0 0 260 226", class: "xp-plane" }, svg("polygon", { points: corners.map((c) => c.join(",")).join(" ") }), dot);
  const images = corners.map(() => el("img", { class: "sharp", alt: "" }));
  const inputs = corners.map((corner, n) => el("input", { type: "number", min: 0, step: 1, value: held.seeds[n], "aria-label": t("plane.corner", { n: n + 1 }) }));
  const shares = ([x, y]) => {
    const [[ax, ay], [bx, by], [cx, cy]] = corners, whole = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy);
    const a = ((by - cy) * (x - cx) + (cx - bx) * (y - cy)) / whole, b = ((cy - ay) * (x - cx) + (ax - cx) * (y - cy)) / whole;
    return [a, b, 1 - a - b];
  };
  const set = (point) => {
    const raw = shares(point).map((share) => Math.max(0, share)), sum = raw.reduce((a, b) => a + b, 0) || 1, weights = raw.map((share) => share / sum);
    held.point = [0, 1].map((axis) => weights.reduce((total, weight, n) => total + weight * corners[n][axis], 0));
    dot.setAttribute("cx", held.point[0]); dot.setAttribute("cy", held.point[1]);
    dot.setAttribute("aria-valuenow", Math.round(100 * weights[0]));
    dot.setAttribute("aria-valuetext", weights.map((weight, n) => `${held.seeds[n]}: ${Math.round(100 * weight)} %`).join(", "));
    return weights;
  };
  const go = (point) => { place.weights = set(point); place.seeds = held.seeds.slice(); place.changed(); };
  const where = (event) => { const box = view.getBoundingClientRect(); return [(event.clientX - box.left) / box.width * 260, (event.clientY - box.top) / box.height * 226]; };
  view.addEventListener("pointerdown", (event) => { view.setPointerCapture(event.pointerId); go(where(event)); });
  view.addEventListener("pointermove", (event) => { if (event.buttons) go(where(event)); });
  dot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-6, 0], ArrowRight: [6, 0], ArrowUp: [0, -6], ArrowDown: [0, 6] }[event.key];
    if (step) { event.preventDefault(); go(held.point.map((value, axis) => value + step[axis])); }
  });
  const show = latest(async () => {
    try {
      const { pictures } = await post(model.address("explore", "gallery"), place.told({ seeds: held.seeds, sliders: {}, weights: undefined }), model.signal);
      pictures.forEach((src, n) => { images[n].src = src; });
    } catch (error) { if (error.name !== "AbortError") model.tell(error.message); }
  });
  inputs.forEach((input, n) => input.addEventListener("change", () => { const seed = input.valueAsNumber; if (Number.isSafeInteger(seed) && seed >= 0) { held.seeds[n] = seed; show(); go(held.point); } }));
  const others = () => { held.seeds = [chance(), chance(), chance()]; inputs.forEach((input, n) => { input.value = held.seeds[n]; }); show(); go(held.point); };
  place.listeners.push(({ all }) => { if (all) show(); });
  set(held.point);
  show();
  const corner = (n) => el("div", { class: "xp-corner xp-corner-" + n }, images[n], inputs[n]);
  return el("div", { class: "xp-between" }, el("div", { class: "xp-line" }, el("h2", {}, t("plane.title")), el("button", { type: "button", class: "plain", onclick: others }, t("plane.new"))),
    el("div", { class: "xp-triangle" }, corner(0), view, corner(1), corner(2)), el("p", { class: "fine" }, t("plane.note")));
};
