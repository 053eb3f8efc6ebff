/* A training begun from the page: the recipe's own settings, checked by the command line's own parser, and the data. */

import { Problem, get, path, post, put } from "./api.js";
import { el } from "./dom.js";
import { meaning, named } from "./findings.js";
import { percent, plain } from "./numbers.js";
import { register, t } from "./strings.js";

register({
  en: {
    "new.title": "Train", "new.recipe": "Recipe", "new.preset": "Preset", "new.data": "Data", "new.data.named": "A set by name", "new.data.own": "Your own: a folder or a zip", "new.data.upload": "Upload pictures or a zip",
    "new.reading": "Reading the recipe's settings; the first time takes some seconds", "new.start": "Start training", "new.checking": "Checking", "new.starting": "Starting",
    "new.essential": "Settings", "new.model": "The model", "new.more": "More about the data", "new.how": "How it is run", "new.find": "Find a setting", "new.reset": "Back to the preset: {value}", "new.nothing": "none",
    "new.from": "from {least} to {most}", "new.default": "preset: {value}", "new.changed": "{n} changed", "new.command": "The same on the command line", "new.about": "About this recipe", "new.measured": "Measured: {cost}; {score}",
    "new.on": "on", "new.schedule": "a number, or from=1,to=.1,over=.5,shape=cosine", "new.several": "words with spaces between", "new.browse": "Choose", "new.above": "One folder up", "new.here": "This folder", "new.more.entries": "and {n} more",
    "new.drop": "Drop pictures, a folder or a zip here, or", "new.choose": "choose files", "new.uploading": "Uploading {done} of {all}: {name}", "new.uploaded": "{n} files are in {data}", "new.look": "Look at it before training", "new.looking": "The data doctor is looking at every picture",
    "new.findings": "What the data doctor says", "new.nothing.wrong": "Nothing is wrong, as far as was looked.", "new.splits": "{train} to train on, {test} held out; {shape}", "new.classes": "{n} classes: {list}", "new.bad": "Left out: {n} files that cannot be read", "new.sheet": "A random sample, and what is suspicious",
    "new.try": "Try", "new.sheet.alt": "Contact sheet of the data", "new.like": "With the settings of {name}", "new.left": "Not uploaded: {list}",
  },
  zh: {
    "new.title": "训练", "new.recipe": "方法", "new.preset": "预设", "new.data": "数据", "new.data.named": "有名字的数据集", "new.data.own": "您自己的文件夹或 zip", "new.data.upload": "上传图片或 zip",
    "new.reading": "正在读取该方法的设置；第一次需要几秒钟", "new.start": "开始训练", "new.checking": "正在检查", "new.starting": "正在启动",
    "new.essential": "设置", "new.model": "模型", "new.more": "数据的更多设置", "new.how": "如何运行", "new.find": "查找设置", "new.reset": "恢复预设：{value}", "new.nothing": "无",
    "new.from": "{least} 到 {most}", "new.default": "预设：{value}", "new.changed": "改了 {n} 项", "new.command": "等同的命令", "new.about": "关于此方法", "new.measured": "实测：{cost}；{score}",
    "new.on": "开", "new.schedule": "一个数，或 from=1,to=.1,over=.5,shape=cosine", "new.several": "用空格分开的词", "new.browse": "选择", "new.above": "上一级文件夹", "new.here": "就用这个文件夹", "new.more.entries": "还有 {n} 个",
    "new.drop": "把图片、文件夹或 zip 拖到这里，或", "new.choose": "选择文件", "new.uploading": "正在上传 {all} 个中的第 {done} 个：{name}", "new.uploaded": "{n} 个文件已放入 {data}", "new.look": "训练前先检查数据", "new.looking": "数据医生正在查看每一张图片",
    "new.findings": "数据医生的话", "new.nothing.wrong": "就所检查的而言，没有问题。", "new.splits": "{train} 个用于训练，{test} 个留作评估；{shape}", "new.classes": "{n} 个类别：{list}", "new.bad": "略去：{n} 个无法读取的文件", "new.sheet": "随机样本与可疑之处",
    "new.try": "建议", "new.sheet.alt": "数据一览图", "new.like": "使用 {name} 的设置", "new.left": "没有上传：{list}",
  },
});

const KEPT = "sparring.form";
const ESSENTIAL = ["rounds", "minutes", "batch", "size", "seed", "name"];
const stored = () => { try { return JSON.parse(sessionStorage.getItem(KEPT)); } catch { return null; } };
const store = (value) => { try { sessionStorage.setItem(KEPT, JSON.stringify(value)); } catch { /* private windows */ } };

const flat = (values, prefix = "") => Object.entries(values ?? {}).flatMap(([key, value]) =>
  value && typeof value === "object" && !Array.isArray(value) && !("from" in value && "to" in value) ? flat(value, `${prefix}${key}.`) : [[prefix + key, value]]);
const typed = (value) => value === null || value === undefined ? "" : value === true ? "on" : value === false ? "off" : Array.isArray(value) ? value.join(" ")
  : typeof value === "object" ? Object.entries(value).map(([key, each]) => `${key}=${each}`).join(",") : String(value);

/* Numbers are the same in any spelling: 1e-08 and 1e-8. */
const same = (setting, value) => value === setting.default || (["whole", "number", "schedule"].includes(setting.kind) && value !== "" && Number(value) === Number(setting.default));

/* An end of a range, short; exact where it is not huge. */
const end = (value) => Math.abs(value) < 1e6 ? String(value) : value.toExponential().length < 8 ? value.toExponential().replace("+", "") : value.toExponential(1).replace("+", "");

/* The files of a drop, those in folders too, with their paths. */
const dropped = async (items) => {
  const found = [];
  const walk = async (entry, at) => {
    if (entry.isFile) found.push([at + entry.name, await new Promise((done, fail) => entry.file(done, fail))]);
    else {
      const reader = entry.createReader();
      for (let part; (part = await new Promise((done, fail) => reader.readEntries(done, fail))).length;) for (const each of part) await walk(each, at + entry.name + "/");
    }
  };
  for (const entry of [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean)) await walk(entry, "");
  return found;
};

/* What the data doctor found, as a page. */
const report = (look, found, sheet) => {
  const shape = Array.isArray(found.shape) ? found.shape.join("×") : "", classes = Object.entries(found.classes ?? {});
  const bad = found.files?.bad ?? [], total = classes.reduce((sum, [, count]) => sum + count, 0) || 1;
  const told = (found.findings ?? []).map((finding) => el("article", { class: "finding" }, el("header", {}, el("h3", {}, named(finding.kind))), meaning(finding.kind), el("p", {}, finding.what),
    finding.samples?.length ? el("p", { class: "fine names" }, finding.samples.slice(0, 6).map((group) => group.slice(0, 4).join(" = ")).join(", ")) : null, el("p", {}, el("b", {}, t("new.try") + ": "), finding.remedy)));
  return el("div", { class: "look" },
    el("p", {}, el("b", {}, found.data), " · ", t("new.splits", { train: plain(found.splits?.train ?? 0), test: plain(found.splits?.test ?? 0), shape })),
    classes.length ? el("p", { class: "fine" }, t("new.classes", { n: classes.length, list: classes.slice(0, 12).map(([name, count]) => `${name} (${percent(count / total)})`).join(", ") + (classes.length > 12 ? " …" : "") })) : null,
    el("h3", {}, t("new.findings")), told.length ? told : el("p", { class: "empty" }, t("new.nothing.wrong")),
    bad.length ? el("details", {}, el("summary", {}, t("new.bad", { n: plain(bad.length) })), el("ul", {}, bad.slice(0, 100).map((file) => el("li", {}, `${file.file}: ${file.reason}`)))) : null,
    sheet ? el("figure", {}, el("figcaption", { class: "fine" }, t("new.sheet")), el("img", { src: path("api/inspect", look, "sheet.png"), alt: t("new.sheet.alt"), class: "sheet" })) : null);
};

export async function mount(root, context) {
  const stop = new AbortController(), given = {}, fields = new Map();
  let schema = null, recipe = "", preset = "", closed = false, looking = 0, turn = 0;

  const pick = el("select", { id: "recipe" }), presets = el("select", { id: "preset" }), purpose = el("p", { class: "fine" }), about = el("div");
  const form = el("div", { class: "form" }), trouble = el("p", { class: "wrong", role: "alert", id: "trouble" }), command = el("code", { class: "command" }), count = el("small");
  const start = el("button", { type: "submit", class: "primary", id: "start", disabled: true }, t("new.start"));
  const data = el("input", { id: "field-data", list: "sets", autocomplete: "off", spellcheck: "false" }), sets = el("datalist", { id: "sets" }), told = el("p", { class: "wrong", id: "told-data" });
  const browser = el("div", { class: "browser", hidden: true }), found = el("div", { "aria-live": "polite" }), uploads = el("p", { class: "fine", role: "status" });

  const save = () => store({ recipe, preset, given });
  const changed = () => Object.entries(given).filter(([name, value]) => { const setting = schema?.settings.find((each) => each.name === name); return setting && !same(setting, value); });

  const tell = () => {
    const words = changed().map(([name, value]) => {
      const setting = schema.settings.find((each) => each.name === name), cut = name.lastIndexOf(".") + 1;
      if (setting.kind === "flag") return value === "on" ? "--" + name : `--${name.slice(0, cut)}no-${name.slice(cut)}`;
      return `--${name} ${value === "" ? (setting.kind === "several" ? "" : "None") : /^[\w.,=:/+-]+$/.test(value) || setting.kind === "several" ? value : `'${value.replaceAll("'", "'\\''")}'`}`.trim();
    });
    command.textContent = ["sparring train", recipe, preset && preset !== schema?.presets[0] ? "--preset " + preset : "", ...words].filter(Boolean).join(" ");
    count.textContent = words.length ? t("new.changed", { n: words.length }) : "";
  };

  const mark = (name, message) => {
    const field = name === "data" ? { input: data, told } : fields.get(name);
    if (!field) return false;
    field.told.textContent = message ?? "";
    if (message) field.input.setAttribute("aria-invalid", "true"); else field.input.removeAttribute("aria-invalid");
    return true;
  };
  const clear = () => { trouble.textContent = ""; for (const name of ["data", ...fields.keys()]) mark(name, ""); };

  /* Where a message belongs; to the whole form where it names no setting. */
  const point = (error) => {
    if (mark(error.field, error.message)) {
      const field = error.field === "data" ? data : fields.get(error.field).input;
      field.closest("details")?.setAttribute("open", "");
      field.focus();
      field.scrollIntoView({ block: "center" });
    } else trouble.textContent = error instanceof Problem && error.status === 0 ? t("error.unreachable") : error.message;
  };

  const settings = () => ({ recipe, preset, settings: Object.fromEntries(changed()) });

  /* The command line's own parser looks, whenever a field was left. */
  const check = async () => {
    if (!schema) return;
    const mine = ++turn;
    try {
      await post("/api/check", settings(), stop.signal);
      if (mine === turn) clear();
    } catch (error) {
      if (error.name === "AbortError" || mine !== turn) return;
      clear();
      if (!mark(error.field, error.message)) trouble.textContent = error.message;
    }
  };

  const set = (name, value) => { given[name] = value; save(); tell(); fields.get(name)?.row.classList.toggle("changed", changed().some(([each]) => each === name)); };

  const control = (setting) => {
    const id = "field-" + setting.name, value = given[setting.name] ?? setting.default;
    const common = { id, "aria-describedby": `help-${setting.name} told-${setting.name}`, spellcheck: "false", autocomplete: "off" };
    if (setting.kind === "flag") return el("input", { ...common, type: "checkbox", checked: value === "on", onchange: (event) => { set(setting.name, event.target.checked ? "on" : "off"); check(); } });
    if (setting.kind === "choice") {
      const select = el("select", { ...common, onchange: () => { set(setting.name, select.value); check(); } }, setting.choices.map((choice) => el("option", { value: choice }, choice)));
      select.value = value;
      return select;
    }
    const list = setting.choices.length && setting.kind === "text" ? el("datalist", { id: "choices-" + setting.name }, setting.choices.map((choice) => el("option", { value: choice }))) : null;
    const hint = setting.kind === "schedule" ? t("new.schedule") : setting.kind === "several" ? (setting.choices.join(" ") || t("new.several")) : setting.empty && setting.default === "" ? t("new.nothing") : "";
    const input = el("input", { ...common, inputmode: setting.kind === "whole" ? "numeric" : null, placeholder: hint, list: list ? list.id : null, oninput: () => set(setting.name, input.value), onchange: check });
    input.value = value;
    return list ? [input, list] : input;
  };

  const row = (setting) => {
    const made = control(setting), input = Array.isArray(made) ? made[0] : made, message = el("p", { class: "wrong", id: "told-" + setting.name });
    const limits = setting.least !== null ? t("new.from", { least: end(setting.least), most: end(setting.most) }) : "";
    const standard = setting.default === "" ? t("new.nothing") : setting.default;
    const help = el("p", { class: "fine", id: "help-" + setting.name }, setting.help, " ", el("span", { class: "limits" }, [limits, setting.choices.length && setting.kind === "several" ? setting.choices.join(", ") : "", t("new.default", { value: standard })].filter(Boolean).join(" · ")));
    const reset = el("button", { type: "button", class: "plain reset", "aria-label": t("new.reset", { value: standard }), title: t("new.reset", { value: standard }), onclick: () => {
      delete given[setting.name];
      if (setting.kind === "flag") input.checked = setting.default === "on"; else input.value = setting.default;
      save(); tell(); node.classList.remove("changed"); check();
    } }, "↺");
    const node = el("div", { class: "row" + (setting.name in given && !same(setting, given[setting.name]) ? " changed" : ""), "data-words": `${setting.name} ${setting.help}`.toLowerCase() }, el("label", { for: "field-" + setting.name }, setting.name), el("div", { class: "value" }, made, reset), help, message);
    fields.set(setting.name, { input, told: message, row: node });
    return node;
  };

  const build = () => {
    fields.clear();
    const rest = schema.settings.filter((setting) => setting.name !== "data"), first = ESSENTIAL.map((name) => rest.find((setting) => setting.name === name)).filter(Boolean);
    const part = (name) => rest.filter((setting) => setting.part === name && !first.includes(setting)).map(row);
    const search = el("input", { type: "search", placeholder: t("new.find"), "aria-label": t("new.find"), oninput: () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const node of form.querySelectorAll(".row")) node.hidden = !words.every((word) => node.dataset.words.includes(word));
      for (const details of form.querySelectorAll("details")) { details.open = words.length > 0; details.hidden = words.length > 0 && !details.querySelector(".row:not([hidden])"); }
    } });
    form.replaceChildren(el("div", { class: "rows" }, first.map(row)), search, ...["model", "data", "how"].map((name) => el("details", {}, el("summary", {}, t({ model: "new.model", data: "new.more", how: "new.how" }[name])), el("div", { class: "rows" }, part(name)))));
    presets.replaceChildren(...schema.presets.map((name) => el("option", { value: name }, name)));
    presets.value = preset;
    sets.replaceChildren(...Object.entries(schema.sets).map(([name, what]) => el("option", { value: name }, what)));
    data.value = given.data ?? schema.settings.find((setting) => setting.name === "data").default;
    about.replaceChildren(el("details", {}, el("summary", {}, t("new.about")), el("pre", { class: "about" }, schema.about)));
    start.disabled = false;
    tell();
  };

  const choose = async (name, wanted = "") => {
    const mine = ++turn;
    recipe = name;
    start.disabled = true;
    schema = null;
    form.replaceChildren(el("p", { class: "empty", role: "status" }, t("new.reading")));
    clear();
    try {
      const answer = await get(`${path("api/form", name)}?preset=${encodeURIComponent(wanted)}`, stop.signal);
      if (closed || mine !== turn) return;
      schema = answer;
      preset = schema.preset;
      const known = new Set(schema.settings.map((setting) => setting.name));
      for (const each of Object.keys(given)) if (!known.has(each)) delete given[each];
      build();
      save();
    } catch (error) { if (error.name !== "AbortError") { form.replaceChildren(); trouble.textContent = error.message; } }
  };

  const take = (text) => { data.value = text; given.data = text; save(); tell(); mark("data", ""); };

  const browse = async (where) => {
    try {
      const listed = await get("/api/data?path=" + encodeURIComponent(where), stop.signal);
      const go = (to, label, kind) => el("li", {}, el("button", { type: "button", class: "plain " + kind, onclick: () => browse(to) }, label));
      browser.hidden = false;
      browser.replaceChildren(el("p", {}, el("b", {}, listed.path), " ", el("button", { type: "button", class: "button", onclick: () => { take(listed.path); browser.hidden = true; } }, t("new.here"))),
        el("ul", {}, listed.above !== null ? go(listed.above, "↑ " + t("new.above"), "folder") : null, listed.folders.map((entry) => go(entry.path, entry.name + "/", "folder")),
          listed.files.map((entry) => el("li", {}, el("button", { type: "button", class: "plain", onclick: () => { take(entry.path); browser.hidden = true; } }, entry.name))), listed.more ? el("li", { class: "fine" }, t("new.more.entries", { n: plain(listed.more) })) : null));
    } catch (error) { if (error.name !== "AbortError") mark("data", error.message); }
  };

  const look = async () => {
    const mine = ++looking;
    found.replaceChildren(el("p", { class: "empty", role: "status" }, t("new.looking")), el("progress"));
    mark("data", "");
    try {
      const extra = Object.fromEntries(changed().filter(([name]) => ["size", "color", "fit", "labels"].includes(name)));
      const { look: name } = await post("/api/inspect", { data: data.value.trim(), ...extra }, stop.signal);
      for (;;) {
        const answer = await get(path("api/inspect", name), stop.signal);
        if (closed || mine !== looking) return;
        if (answer.found) { found.replaceChildren(report(name, answer.found, answer.sheet)); if (answer.message) mark("data", answer.message); return; }
        if (answer.status !== "starting") throw new Problem(answer.message ?? answer.status, 400, "data");
        await new Promise((done) => setTimeout(done, 500));
      }
    } catch (error) { if (error.name !== "AbortError" && mine === looking) { found.replaceChildren(); mark("data", error.message); } }
  };

  const send = async (files) => {
    if (!files.length) return;
    const left = [];
    let made = null, place = "";
    try {
      made = await post("/api/uploads", { name: files[0][0].split("/")[0].replace(/\.\w+$/, "") }, stop.signal);
      place = made.data;
      const common = files.every(([name]) => name.includes("/") && name.split("/")[0] === files[0][0].split("/")[0]);   /* one folder: its name is the set's */
      let number = 0;
      for (const [name, file] of files) {
        uploads.textContent = t("new.uploading", { done: ++number, all: files.length, name });
        try {
          const kept = await put(path("api/uploads", made.set) + "/" + (common ? name.split("/").slice(1) : name.split("/")).map(encodeURIComponent).join("/"), file, stop.signal);
          if (files.length === 1) place = kept.data;
        } catch (error) { if (error.name === "AbortError" || error.status === 0) throw error; left.push(error.message); }
      }
    } catch (error) { if (error.name !== "AbortError") mark("data", error.message); uploads.textContent = ""; return; }
    uploads.textContent = files.length > left.length ? t("new.uploaded", { n: files.length - left.length, data: place }) : "";
    if (left.length) mark("data", t("new.left", { list: left.slice(0, 5).join("; ") + (left.length > 5 ? " …" : "") }));
    if (files.length === left.length) return;
    const message = told.textContent;
    take(place);
    await look();
    if (message && !told.textContent) mark("data", message);
  };

  const submit = async (event) => {
    event.preventDefault();
    if (!schema) return;
    clear();
    start.disabled = true;
    start.textContent = t("new.starting");
    try {
      ++turn;
      const { name } = await post("/api/start", settings(), stop.signal);
      context.go("#/run/" + encodeURIComponent(name));
    } catch (error) { if (error.name !== "AbortError") point(error); }
    start.disabled = false;
    start.textContent = t("new.start");
  };

  const files = el("input", { type: "file", multiple: true, id: "files", class: "hidden-file", onchange: () => { send([...files.files].map((file) => [file.name, file])); files.value = ""; } });
  const drop = el("div", { class: "drop" }, t("new.drop"), " ", el("label", { class: "button", for: "files" }, t("new.choose")), files);
  for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => { event.preventDefault(); send(await dropped(event.dataTransfer.items)); });
  data.addEventListener("input", () => { given.data = data.value.trim(); save(); tell(); });
  data.addEventListener("change", check);
  pick.addEventListener("change", () => { tellPurpose(); choose(pick.value); });
  presets.addEventListener("change", () => { for (const name of Object.keys(given)) if (schema.settings.find((each) => each.name === name)?.part === "model") delete given[name]; choose(recipe, presets.value); });

  const { recipes } = await get("/api/recipes", stop.signal);
  const tellPurpose = () => {
    const entry = recipes.find((each) => each.name === pick.value);
    purpose.replaceChildren(entry.for, " · ", entry.paper, entry.cost ? " · " + t("new.measured", { cost: entry.cost, score: entry.score }) : "");
  };
  pick.append(...recipes.map((entry) => el("option", { value: entry.name }, entry.name)));
  root.append(el("div", { class: "head" }, el("h1", {}, t("new.title"))), el("form", { onsubmit: submit, novalidate: true, autocomplete: "off" },
    el("section", {}, el("h2", {}, t("new.recipe")), el("div", { class: "pair" }, el("label", {}, el("span", {}, t("new.recipe")), pick), el("label", {}, el("span", {}, t("new.preset")), presets)), purpose, about),
    el("section", {}, el("h2", {}, t("new.data")), el("div", { class: "data-line" }, data, sets, el("button", { type: "button", class: "button", id: "browse", onclick: () => browser.hidden ? browse("") : (browser.hidden = true) }, t("new.browse")), el("button", { type: "button", class: "button", id: "look", onclick: look }, t("new.look"))), told, browser, drop, uploads, found),
    el("section", {}, el("h2", {}, t("new.essential"), " ", count), form),
    el("section", { class: "go" }, trouble, el("div", {}, el("small", {}, t("new.command")), command), start)));
  data.setAttribute("aria-label", t("new.data"));

  const like = context.query.get("like"), before = context.query.has("again") || !like ? stored() : null;
  let first = "dcgan", wanted = "";
  if (like) {
    const { config } = await get(path("api/runs", like), stop.signal);
    first = config.recipe; wanted = config.preset;
    const values = [...flat(config.model), ...flat(config.data), ...flat(config.how).filter(([name]) => !["runs", "name", "device", "precision", "threads", "shards", "minutes"].includes(name))];
    for (const [name, value] of values) given[name] = typed(value);
    context.tell(t("new.like", { name: like }));
    history.replaceState(null, "", "#/new");   /* what is then changed is kept, and not fetched anew in another language */
  } else if (before) { first = before.recipe || first; wanted = before.preset || ""; Object.assign(given, before.given); }
  pick.value = recipes.some((entry) => entry.name === first) ? first : "dcgan";
  tellPurpose();
  choose(pick.value, wanted);
  return () => { closed = true; stop.abort(); };
}
