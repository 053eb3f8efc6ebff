/* The guided tour: ten steps from the forger and the detective to Wasserstein, each with a live lab set to it. */

import { el } from "./dom.js";
import { Bench } from "./lab_bench.js";
import { t } from "./strings.js";
import { STEPS } from "./tour_words.js";

export const mount = async (root, context) => {
  const number = Math.min(STEPS.length, Math.max(1, Math.floor(Number(context.argument)) || 1)), step = STEPS[number - 1];
  const say = (part) => t(`tour.${number}.${part}`);
  const go = (to) => { if (to >= 1 && to <= STEPS.length) context.go("#/tour/" + to); };

  const bench = new Bench({ charts: step.charts });
  const begin = () => {
    if (step.sick) bench.sick(step.sick);
    else { bench.begin({ seed: 0, ...step.setup }); if (step.play) bench.play(); }
  };
  /* What the text asks for, as buttons that do it. */
  const acts = (step.acts || []).map((act, i) =>
    el("button", { type: "button", class: "button", "data-act": i, onclick: () => perform(act) }, say("act" + (i + 1))));
  const perform = (act) => {
    if (act.step) bench.step(act.step, act.count);
    if (act.change) bench.say({ do: "change", settings: act.change });
    if (act.setup) bench.begin({ seed: 0, ...act.setup });
    if (act.sick) bench.sick(act.sick);
    if (act.play) bench.play();
  };
  const list = (name) => {
    const lines = say(name);
    return lines === `tour.${number}.${name}` ? null : lines.split("\n").map((line) => el(name === "try" ? "li" : "p", {}, line));
  };
  const link = (to, words, kind) => el("a", { href: "#/tour/" + to, class: kind, "aria-disabled": to < 1 || to > STEPS.length ? "true" : null, hidden: to < 1 || to > STEPS.length }, words);
  const dots = el("span", { class: "tour-dots", role: "group", "aria-label": t("tour.steps") }, STEPS.map((_, i) =>
    el("a", { href: "#/tour/" + (i + 1), "aria-current": i + 1 === number ? "step" : null, "aria-label": t("tour.count", { number: i + 1, all: STEPS.length }) }, i + 1)));

  root.append(bench.trouble, el("div", { class: "tour-page" },
    el("section", { class: "tour-text" },
      el("p", { class: "tour-count" }, t("tour.count", { number, all: STEPS.length })),
      el("h1", { tabindex: "-1" }, say("title")),
      list("text"), el("ul", {}, list("try")), el("div", { class: "tour-acts" }, acts),
      el("p", { class: "tour-see" }, say("see")),
      el("nav", { class: "tour-way", "aria-label": t("tour.way") },
        link(number - 1, t("tour.back"), "button"), dots, number < STEPS.length ? link(number + 1, t("tour.next"), "primary") : el("a", { href: "#/lab", class: "primary" }, t("tour.end"))),
      el("p", { class: "fine" }, t("tour.keys"))),
    el("section", { class: "tour-lab" }, bench.plane, bench.layers, bench.controls, el("div", { class: "lab-status" }, bench.rounds),
      bench.curves.element, bench.doctor)));

  const keys = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === "ArrowRight") go(number + 1);
    else if (event.key === "ArrowLeft") go(number - 1);
    else if (event.key === "p") bench.go.click();
    else if (event.key === "d") bench.step("discriminator");
    else if (event.key === "g") bench.step("generator");
    else return;
    event.preventDefault();
  };
  addEventListener("keydown", keys);
  bench.stage.shown = new Set(step.layers);
  for (const box of bench.layers.querySelectorAll("input")) box.checked = step.layers.includes(box.dataset.layer);
  bench.doctor.hidden = !step.doctor;
  bench.other.remove();
  await bench.start();
  /* the lab of the step before lives on: only its setup is another; in another language it goes on as it was */
  if (bench.link.step !== number) { bench.link.step = number; begin(); }
  return () => { removeEventListener("keydown", keys); bench.close(); };
};
