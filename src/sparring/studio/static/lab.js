/* The lab: a duel in the plane, with everything that the package can change about it. */

import { el } from "./dom.js";
import { Bench } from "./lab_bench.js";
import { t } from "./strings.js";

const GROUPS = {
  objective: ["objective"],
  rates: ["generator.lr", "discriminator.lr", "discriminator_steps", "generator.beta1", "discriminator.beta1"],
  smooth: ["penalty.r1", "penalty.r2", "penalty.gradient", "penalty.dragan", "penalty.clip", "spectral_norm"],
};
const RATES = new Set(["generator.lr", "discriminator.lr"]);

/* One setting: its control, and what becomes of it when the lab says how it stands. */
class Setting {
  constructor(row, send, explain) {
    this.row = row;
    const id = "lab-" + row.name.replaceAll(".", "-"), told = () => explain(this);
    const shared = { id, "data-setting": row.name, onfocus: told };
    const sent = () => send(row.name, this.value());
    if (row.kind === "choice") {
      this.input = el("select", { ...shared, onchange: () => { sent(); told(); } }, row.choices.map((name) => el("option", { value: name }, name)));
    } else if (row.kind === "switch") {
      this.input = el("input", { ...shared, type: "checkbox", onchange: sent });
    } else if (RATES.has(row.name)) {
      this.input = el("input", { ...shared, type: "range", min: -6, max: 0, step: 0.05, oninput: () => this.tell(), onchange: sent });
      this.out = el("output", { for: id });
    } else {
      this.input = el("input", { ...shared, type: "text", inputmode: row.kind === "widths" ? "text" : "decimal", autocomplete: "off", onchange: sent });
    }
    this.element = el("div", { class: "lab-setting lab-as-" + row.kind, onpointerenter: told },
      el("label", { for: id }, t("lab.set." + row.name)), this.input, this.out);
  }

  value() {
    const { kind, name } = this.row, text = this.input.value.trim();
    if (kind === "switch") return this.input.checked;
    if (kind === "choice") return text;
    if (RATES.has(name)) return Number((10 ** Number(text)).toPrecision(2));
    const number = (part) => part.trim() === "" || Number.isNaN(Number(part)) ? part : Number(part);
    return kind === "widths" ? text.split(/[\s,，]+/).filter(Boolean).map(number) : number(text);
  }

  set(value) {
    if (document.activeElement === this.input && this.row.kind === "number" && this.value() === value) return;
    if (this.row.kind === "switch") this.input.checked = value;
    else if (RATES.has(this.row.name)) this.input.value = Math.log10(value);
    else this.input.value = Array.isArray(value) ? value.join(" ") : String(value);
    this.tell();
  }

  tell() { if (this.out) this.out.textContent = this.value().toPrecision(2).replace(/\.?0+(?=$|e)/, ""); }
}

export const mount = async (root, context) => {
  const settings = new Map();
  const help = el("p", { class: "lab-help fine", "aria-live": "off" }, t("lab.help"));
  const explain = (setting) => {
    const { name, help: own } = setting.row;
    help.textContent = name === "objective" ? t("lab.objective." + setting.input.value) : t("lab.help." + name) === "lab.help." + name ? own : t("lab.help." + name);
  };
  const send = (name, value) => bench.say({ do: "change", settings: { [name]: value } });

  const form = el("form", { class: "lab-form", onsubmit: (event) => event.preventDefault() });
  const command = el("code", { class: "lab-command", tabindex: "0" });
  const sets = el("div", { class: "lab-choices", role: "group", "aria-label": t("lab.sets") });
  const sick = el("div", { class: "lab-choices", role: "group", "aria-label": t("lab.break") });
  const pen = el("p", { class: "lab-pen fine", hidden: true });

  const drawing = () => {
    bench.pause();
    bench.stage.draw(true, []);
    pen.replaceChildren(t("lab.draw.how") + " ", el("button", { type: "button", class: "plain", onclick: drawing }, t("lab.draw.clear")),
      el("button", { type: "button", class: "plain", onclick: () => { bench.stage.draw(false, bench.stage.points); pen.hidden = true; } }, t("lab.draw.done")));
    pen.hidden = false;
    bench.stage.canvas.focus();
  };
  const choose = (name) => { pen.hidden = true; if (name === "drawn") drawing(); else bench.begin({ set: name, settings: bench.settings() }); };

  const ready = ({ settings: rows, sets: names, sick: ways }) => {
    const known = new Map(rows.map((row) => [row.name, row])), placed = new Set(Object.values(GROUPS).flat());
    const group = (key, list) => el("fieldset", { "data-group": key }, el("legend", {}, t("lab.group." + key)), list.map((name) => {
      const setting = new Setting(known.get(name), send, explain);
      settings.set(name, setting);
      return setting.element;
    }));
    const rest = rows.map((row) => row.name).filter((name) => !placed.has(name));
    form.replaceChildren(...Object.entries(GROUPS).map(([key, list]) => group(key, list)), help,
      el("details", {}, el("summary", {}, t("lab.more")), group("networks", rest)));
    sets.replaceChildren(...names.map((name) => el("button", { type: "button", class: "button", "data-set": name, onclick: () => choose(name) }, t("lab.data." + name))));
    sick.replaceChildren(...Object.keys(ways).map((name) => el("button", { type: "button", class: "button", "data-sick": name, onclick: () => bench.sick(name) }, t("lab.sick." + name))),
      el("button", { type: "button", class: "plain", "data-sick": "", onclick: () => bench.begin({ set: bench.state.set, points: bench.stage.points, settings: {} }) }, t("lab.usual")));
  };

  const changed = (state) => {
    for (const [name, setting] of settings) setting.set(state.settings[name]);
    for (const node of sets.children) node.setAttribute("aria-pressed", node.dataset.set === state.set);
    for (const node of sick.children) node.setAttribute("aria-pressed", node.dataset.sick !== "" && node.dataset.sick === state.sick);
    command.textContent = state.command;
  };

  const bench = new Bench({ charts: ["kl", "js", "wasserstein", "modes", "losses", "push"], changed, ready });
  root.append(
    el("header", { class: "lab-head" }, el("h1", {}, t("nav.lab")), el("p", { class: "soft" }, t("lab.lead"), " ", el("a", { href: "#/tour" }, t("lab.to-tour")))),
    bench.trouble,
    el("div", { class: "lab-page" },
      el("div", { class: "lab-left" },
        el("section", { class: "lab-main" }, el("div", { class: "lab-row" }, el("h2", {}, t("lab.sets")), sets), pen, bench.plane, bench.layers,
          bench.controls, el("div", { class: "lab-status" }, bench.rounds))),
      el("div", { class: "lab-right" },
        el("section", {}, el("h2", {}, t("lab.break")), sick, el("h2", { class: "lab-second" }, t("lab.doctor")), bench.doctor),
        el("section", {}, el("h2", {}, t("lab.measures")), bench.curves.element, el("p", { class: "fine" }, t("lab.measures.how"))))),
    el("section", { class: "lab-settings" }, el("h2", {}, t("lab.settings")), form),
    el("section", {}, el("h2", {}, t("lab.command")), el("p", { class: "fine" }, t("lab.command.how")), command));
  await bench.start();
  return () => bench.close();
};
