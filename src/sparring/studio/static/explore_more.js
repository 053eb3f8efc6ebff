/* Many samples at once, films, one's own picture found in the latents, pictures translated. */

import { Problem, get, post, postBlob, remove } from "./api.js";
import { el } from "./dom.js";
import { chance, latest } from "./explore_place.js";
import { register, t } from "./strings.js";

register({
  en: {
    "gallery.title": "Samples", "gallery.more": "Others", "gallery.note": "Choose one to move from there.", "gallery.near": "Beside each, the nearest training picture", "gallery.seed": "Sample of seed {seed}", "gallery.beside": "Nearest training picture of seed {seed}",
    "film.title": "Film", "film.note": "From seed to seed and back to the first. Class, variety and directions stand still.", "film.seeds": "Seeds, by commas", "film.frames": "Frames", "film.format": "Format", "film.make": "Make the film", "film.making": "Making it", "film.save": "Save", "film.alt": "Film through seeds {seeds}",
    "project.title": "Your picture", "project.note": "Searches the latents for the sample that is nearest to your picture, pixel by pixel. What the model has never seen it cannot make.", "project.drop": "Drop a picture here, or", "project.choose": "choose one",
    "project.going": "Step {step} of {steps}; differs by {distance} of 255, {begun} at first", "project.stop": "Stop", "project.use": "Move from here", "project.yours": "Yours", "project.found": "Found",
    "translate.title": "Translate", "translate.note": "Drop a picture: it is brought to the model's size and translated.", "translate.whole": "Keep its own size, by tiles", "translate.label": "To", "translate.seed": "Seed of the noise", "translate.before": "Before", "translate.after": "After",
    "translate.hole": "Missing is what is clear in it, or this colour", "translate.save": "Save", "translate.text": "Text", "translate.go": "Translate", "translate.enlarge": "Drop a picture: it is enlarged.", "translate.fill": "Drop a picture with clear parts: they are filled.",
    "samples.title": "Samples", "samples.more": "Others", "samples.alt": "Samples of seed {seed}", "samples.working": "Working",
  },
  zh: {
    "gallery.title": "样本", "gallery.more": "换一批", "gallery.note": "选一个，从那里出发。", "gallery.near": "在每个旁边显示最接近的训练图片", "gallery.seed": "种子 {seed} 的样本", "gallery.beside": "种子 {seed} 最接近的训练图片",
    "film.title": "影片", "film.note": "从种子到种子，再回到第一个。类别、多样性和方向保持不变。", "film.seeds": "种子，用逗号分隔", "film.frames": "帧数", "film.format": "格式", "film.make": "制作影片", "film.making": "正在制作", "film.save": "保存", "film.alt": "经过种子 {seeds} 的影片",
    "project.title": "您的图片", "project.note": "在隐空间中寻找与您的图片逐像素最接近的样本。模型没有见过的，它做不出来。", "project.drop": "把图片拖到这里，或", "project.choose": "选择一张",
    "project.going": "第 {step} 步，共 {steps} 步；相差 {distance} / 255，起初 {begun}", "project.stop": "停止", "project.use": "从这里出发", "project.yours": "您的", "project.found": "找到的",
    "translate.title": "翻译", "translate.note": "把图片拖到这里：调整到模型的大小并翻译。", "translate.whole": "保持原来的大小，分块处理", "translate.label": "变成", "translate.seed": "噪声的种子", "translate.before": "之前", "translate.after": "之后",
    "translate.hole": "缺失的是透明部分，或这种颜色", "translate.save": "保存", "translate.text": "文字", "translate.go": "翻译", "translate.enlarge": "把图片拖到这里：它会被放大。", "translate.fill": "把有透明部分的图片拖到这里：缺失处会被填补。",
    "samples.title": "样本", "samples.more": "换一批", "samples.alt": "种子 {seed} 的样本", "samples.working": "正在计算",
  },
});

const COUNT = 24;

/* Sends a file as it is, and gives JSON or a blob. */
const send = async (address, file, signal) => {
  let answer;
  try { answer = await fetch(address, { method: "POST", body: file, headers: { "content-type": "application/octet-stream" }, signal, credentials: "same-origin" }); } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreachable", 0);
  }
  if (answer.ok) return (answer.headers.get("content-type") || "").startsWith("application/json") ? answer.json() : answer.blob();
  let told = {};
  try { told = await answer.json(); } catch { /* not JSON */ }
  throw new Problem(told.error || answer.statusText, answer.status);
};

/* A field for a file: dropped, or chosen. */
const drop = (words, taken) => {
  const input = el("input", { type: "file", accept: "image/*", class: "hidden-file", onchange: () => { if (input.files[0]) taken(input.files[0]); input.value = ""; } });
  const zone = el("div", { class: "drop" }, words, el("label", { class: "button" }, input, t("project.choose")));
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => { event.preventDefault(); zone.classList.remove("over"); const file = event.dataTransfer.files[0]; if (file) taken(file); });
  return zone;
};

export const gallery = (model, place) => {
  const grid = el("div", { class: "xp-gallery" }), beside = el("input", { type: "checkbox" }), wrong = el("p", { class: "wrong", role: "alert" }), count = Math.min(COUNT, model.facts.most);
  let first = 0;
  const show = latest(async () => {
    const seeds = [...Array(count).keys()].map((n) => first + n), shared = place.told({ sliders: {}, weights: [1] });
    try {
      const { pictures } = await post(model.address("explore", "gallery"), { ...shared, seeds }, model.signal);
      const near = beside.checked ? (await post(model.address("explore", "near"), { places: seeds.map((seed) => ({ ...shared, seeds: [seed] })), count: 1 }, model.signal)).neighbours : null;
      grid.classList.toggle("xp-beside", Boolean(near));
      grid.replaceChildren(...pictures.map((src, n) => el("button", { type: "button", onclick: () => place.at(seeds[n]), "aria-label": t("gallery.seed", { seed: seeds[n] }) },
        el("img", { class: "sharp", src, alt: "" }), near ? el("img", { class: "sharp xp-real", src: near[n][0].picture, alt: t("gallery.beside", { seed: seeds[n] }) }) : null, el("span", {}, seeds[n]))));
      wrong.textContent = "";
    } catch (error) { if (error.name !== "AbortError") { wrong.textContent = error.message; beside.checked = false; } }
  });
  beside.addEventListener("change", () => show());
  place.listeners.push(({ all }) => { if (all) show(); });
  show();
  return el("section", {}, el("div", { class: "xp-line" }, el("h2", {}, t("gallery.title")), el("button", { type: "button", class: "button", onclick: () => { first += count; show(); } }, t("gallery.more")),
    el("label", { class: "xp-check" }, beside, " ", t("gallery.near"))), grid, wrong, el("p", { class: "fine" }, t("gallery.note")));
};

export const film = (model, place) => {
  const seeds = el("input", { type: "text", value: "0, 1, 2, 3", inputmode: "numeric" }), frames = el("input", { type: "number", min: 8, max: 240, value: 64 });
  const format = el("select", {}, model.facts.films.map((name) => el("option", { value: name }, name.toUpperCase()))), shown = el("div", { class: "xp-film" }), wrong = el("p", { class: "wrong", role: "alert" });
  let url = null;
  model.closing.push(() => { if (url) URL.revokeObjectURL(url); });
  const make = el("button", { type: "button", class: "button" }, t("film.make"));
  make.addEventListener("click", async () => {
    make.disabled = true; make.textContent = t("film.making"); wrong.textContent = "";
    const wanted = seeds.value.split(",").map((word) => Number(word.trim()));
    try {
      const made = await postBlob(model.address("explore", "film"), place.told({ seeds: wanted, weights: undefined, frames: Number(frames.value), format: format.value }), model.signal);
      if (url) URL.revokeObjectURL(url);
      url = URL.createObjectURL(made);
      const alt = t("film.alt", { seeds: seeds.value });
      shown.replaceChildren(format.value === "mp4" ? el("video", { src: url, controls: true, loop: true, autoplay: true, muted: true, "aria-label": alt }) : el("img", { src: url, alt, class: "sharp" }),
        el("a", { class: "button", href: url, download: `${model.name}.${format.value}` }, t("film.save")));
    } catch (error) { if (error.name !== "AbortError") wrong.textContent = error.message; }
    make.disabled = false; make.textContent = t("film.make");
  });
  return el("section", {}, el("h2", {}, t("film.title")), el("div", { class: "xp-fields" }, el("label", {}, el("span", {}, t("film.seeds")), seeds), el("label", {}, el("span", {}, t("film.frames")), frames),
    el("label", {}, el("span", {}, t("film.format")), format), make), wrong, shown, el("p", { class: "fine" }, t("film.note")));
};

export const project = (model, place) => {
  const yours = el("img", { class: "sharp", alt: t("project.yours") }), found = el("img", { class: "sharp", alt: t("project.found") }), bar = el("progress", { max: 1, value: 0 }), words = el("p", { class: "fine", role: "status" });
  const stop = el("button", { type: "button", class: "button" }, t("project.stop")), use = el("button", { type: "button", class: "button" }, t("project.use")), wrong = el("p", { class: "wrong", role: "alert" });
  const result = el("div", { class: "xp-project", hidden: true }, el("figure", {}, yours, el("figcaption", {}, t("project.yours"))), el("figure", {}, found, el("figcaption", {}, t("project.found"))), el("div", {}, bar, words, el("div", { class: "xp-line" }, stop, use)));
  let name = null, timer = null, url = null;
  const at = () => model.address("explore", "project", name);
  const show = (told) => {
    found.src = told.picture; bar.max = told.steps; bar.value = told.done ? told.steps : told.step; stop.hidden = told.done;
    words.textContent = t("project.going", { step: told.step, steps: told.steps, distance: told.distance ?? "…", begun: told.begun ?? "…" });
    wrong.textContent = told.error;
  };
  const follow = async () => {
    try {
      const told = await get(at(), model.signal);
      show(told);
      if (!told.done) timer = setTimeout(follow, 400);
    } catch (error) { if (error.name !== "AbortError") wrong.textContent = error.message; }
  };
  model.closing.push(() => { clearTimeout(timer); if (url) URL.revokeObjectURL(url); if (name) remove(at()).catch(() => {}); });
  stop.addEventListener("click", () => remove(at()).then(show, (error) => { wrong.textContent = error.message; }));
  use.addEventListener("click", () => { place.at(name); scrollTo({ top: 0, behavior: "smooth" }); });
  const taken = async (file) => {
    clearTimeout(timer); wrong.textContent = "";
    const query = new URLSearchParams(Object.entries({ label: place.label, cluster: place.cluster, caption: place.caption }).filter(([, value]) => value !== null));
    try {
      ({ name } = await send(`${model.address("explore", "project")}?${query}`, file, model.signal));
      if (url) URL.revokeObjectURL(url);
      yours.src = url = URL.createObjectURL(file);
      result.hidden = false;
      follow();
    } catch (error) { if (error.name !== "AbortError") wrong.textContent = error.message; }
  };
  return el("section", {}, el("h2", {}, t("project.title")), drop(t("project.drop"), taken), wrong, result, el("p", { class: "fine" }, t("project.note")));
};

export const translate = (model) => {
  const { facts } = model, texts = facts.kind === "text", enlarges = !texts && facts.source[1] < facts.shape[1], fills = !texts && facts.source[0] > facts.shape[0] && facts.recipe === "inpaint";
  const label = facts.classes.length ? el("select", {}, facts.classes.map((name) => el("option", { value: name }, name))) : null, seed = el("input", { type: "number", min: 0, value: 0 });
  const whole = el("input", { type: "checkbox" }), hole = el("input", { type: "text", value: "clear" }), wrong = el("p", { class: "wrong", role: "alert" }), shown = el("div", { class: "xp-project xp-translated", hidden: true });
  const address = (form) => {
    const query = new URLSearchParams(label ? { label: label.value } : {});
    if (!texts) query.set("format", form);
    if (!texts && !enlarges && !fills) { query.set("seed", seed.value || 0); query.set("fit", whole.checked ? "whole" : "crop"); }
    if (fills) query.set("hole", hole.value);
    return `${model.address("translation")}?${query}`;
  };
  let urls = [], last = null;
  const forget = () => { urls.forEach((url) => URL.revokeObjectURL(url)); urls = []; };
  model.closing.push(forget);
  const taken = async (file) => {
    last = file; wrong.textContent = "";
    try {
      const made = await send(address("png"), file, model.signal);
      forget();
      urls = [URL.createObjectURL(file), URL.createObjectURL(made)];
      shown.hidden = false;
      shown.replaceChildren(el("figure", {}, el("img", { src: urls[0], alt: t("translate.before") }), el("figcaption", {}, t("translate.before"))),
        el("figure", {}, el("img", { class: "sharp", src: urls[1], alt: t("translate.after") }), el("figcaption", {}, t("translate.after"))), el("div", {}, el("a", { class: "button", href: urls[1], download: `${model.name}-${file.name}.png` }, t("translate.save"))));
    } catch (error) { if (error.name !== "AbortError") wrong.textContent = error.message; }
  };
  if (texts) return words(model, address, label, wrong);
  const again = () => { if (last) taken(last); };
  [label, seed, whole, hole].forEach((input) => input && input.addEventListener("change", again));
  const fields = el("div", { class: "xp-fields" }, label ? el("label", {}, el("span", {}, t("translate.label")), label) : null,
    enlarges ? null : fills ? el("label", {}, el("span", {}, t("translate.hole")), hole) : [el("label", {}, el("span", {}, t("translate.seed")), seed), el("label", { class: "xp-check" }, whole, " ", t("translate.whole"))]);
  return el("section", {}, el("h2", {}, t("translate.title")), fields, drop(t("project.drop"), taken), wrong, shown, el("p", { class: "fine" }, t(enlarges ? "translate.enlarge" : fills ? "translate.fill" : "translate.note")));
};

const words = (model, address, label, wrong) => {
  const given = el("textarea", { rows: 5, "aria-label": t("translate.text"), maxlength: 10000 }), made = el("pre", { class: "xp-text" });
  const go = async () => {
    wrong.textContent = "";
    try {
      const answer = await fetch(address(""), { method: "POST", body: given.value, headers: { "content-type": "text/plain" }, signal: model.signal, credentials: "same-origin" });
      if (!answer.ok) throw new Problem((await answer.json()).error, answer.status);
      made.textContent = await answer.text();
    } catch (error) { if (error.name !== "AbortError") wrong.textContent = error.message; }
  };
  return el("section", {}, el("h2", {}, t("translate.title")), label ? el("label", {}, t("translate.label"), " ", label) : null, given, el("div", { class: "xp-line" }, el("button", { type: "button", class: "button", onclick: go }, t("translate.go"))), wrong, made);
};

/* Kinds of samples that one cannot move in: texts, sounds, clips, points. */
export const samples = (model) => {
  const { facts } = model, form = { text: "txt", sound: "wav", clip: "gif", point: "json", image: "png" }[facts.kind], shown = el("div", { class: "xp-film" }), wrong = el("p", { class: "wrong", role: "alert" });
  let url = null, seed = 0;
  model.closing.push(() => { if (url) URL.revokeObjectURL(url); });
  const label = facts.classes.length ? el("select", { "aria-label": t("place.label") }, el("option", { value: "" }, t("place.any")), facts.classes.map((name) => el("option", { value: name }, name))) : null;
  const more = el("button", { type: "button", class: "button" }, t("samples.more"));
  const show = async () => {
    more.disabled = true; more.textContent = t("samples.working"); wrong.textContent = "";
    const query = new URLSearchParams({ seed, count: Math.min(9, facts.most), format: form, ...(label && label.value ? { label: label.value } : {}) }), alt = t("samples.alt", { seed });
    try {
      const answer = await fetch(`${model.address("samples")}?${query}`, { signal: model.signal, credentials: "same-origin" });
      if (!answer.ok) throw new Problem((await answer.json()).error, answer.status);
      if (form === "txt" || form === "json") shown.replaceChildren(el("pre", { class: "xp-text" }, await answer.text()));
      else {
        if (url) URL.revokeObjectURL(url);
        url = URL.createObjectURL(await answer.blob());
        shown.replaceChildren(form === "wav" ? el("audio", { controls: true, src: url, "aria-label": alt }) : el("img", { class: "sharp", src: url, alt }));
      }
    } catch (error) { if (error.name !== "AbortError") wrong.textContent = error.message; }
    more.disabled = false; more.textContent = t("samples.more");
  };
  more.addEventListener("click", () => { seed = chance(); show(); });
  if (label) label.addEventListener("change", show);
  show();
  return el("section", {}, el("div", { class: "xp-line" }, el("h2", {}, t("samples.title")), label, more), wrong, shown);
};
