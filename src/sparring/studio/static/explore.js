/* A trained model to move in: seeds, sliders, the plane between three samples, films, one's own pictures. */

import { get, path, remove } from "./api.js";
import { el } from "./dom.js";
import { film, gallery, project, samples, translate } from "./explore_more.js";
import { Place, controls, plane, stage } from "./explore_place.js";
import { plain } from "./numbers.js";
import { register, t } from "./strings.js";

register({
  en: {
    "explore.title": "Explore", "explore.choose": "Choose a model. Opening one takes a few seconds.", "explore.none": "No run has a checkpoint yet. Train one first.",
    "explore.opening": "Opening the model", "explore.all": "All models", "explore.anew": "Open anew", "explore.anew.help": "Reads the newest checkpoint of a run that still goes on.",
    "explore.facts": "{recipe} of {data}, round {round}, {weights}", "explore.averaged": "averaged weights", "explore.live": "live weights", "explore.run": "The run",
  },
  zh: {
    "explore.title": "探索", "explore.choose": "选择一个模型。打开需要几秒钟。", "explore.none": "还没有任何训练留下检查点。请先训练一个。",
    "explore.opening": "正在打开模型", "explore.all": "全部模型", "explore.anew": "重新打开", "explore.anew.help": "读取仍在进行的训练的最新检查点。",
    "explore.facts": "{recipe}，数据 {data}，第 {round} 轮，{weights}", "explore.averaged": "平均权重", "explore.live": "当前权重", "explore.run": "训练记录",
  },
});

const list = async (root) => {
  const { models } = await get("/api/explore");
  root.append(el("h1", {}, t("explore.title")), el("p", { class: "soft" }, t(models.length ? "explore.choose" : "explore.none")));
  if (models.length) root.append(el("section", { class: "list" }, el("ul", { class: "xp-models" }, models.map(({ name }) => el("li", {}, el("a", { href: "#/explore/" + encodeURIComponent(name) }, name))))));
  return () => {};
};

export async function mount(root, context) {
  const name = context.argument;
  if (!name) return list(root);
  const waiting = el("p", { class: "xp-opening", role: "status" }, t("explore.opening"), " …");
  root.append(el("h1", {}, name), waiting);
  const address = (...parts) => path("api/explore", name, ...parts), stop = new AbortController();
  let facts;
  try { facts = await get(address("explore", "facts"), stop.signal); } finally { waiting.remove(); }
  const again = async () => { await remove(path("api/explore", name)); dispatchEvent(new HashChangeEvent("hashchange")); };
  root.replaceChildren(
    el("div", { class: "head" }, el("h1", {}, name), el("div", { class: "actions" },
      el("a", { class: "button", href: "#/run/" + encodeURIComponent(name) }, t("explore.run")), el("button", { type: "button", class: "button", title: t("explore.anew.help"), onclick: again }, t("explore.anew")))),
    el("p", { class: "soft" }, t("explore.facts", { recipe: facts.recipe, data: facts.data.split(/[\\/]/).pop(), round: plain(facts.round), weights: t(facts.averaged ? "explore.averaged" : "explore.live") })));
  const closing = [() => stop.abort()], model = { name, facts, address, signal: stop.signal, tell: context.tell, closing };
  if (facts.able) {
    const place = new Place(model);
    const shown = stage(model, place);
    root.append(el("section", { class: "xp-main" }, shown, el("div", {}, controls(model, place), plane(model, place))), gallery(model, place),
      el("div", { class: "xp-two" }, film(model, place), project(model, place)));
    place.changed();
  } else if (facts.offers.includes("samples")) root.append(samples(model));
  if (facts.offers.includes("translation")) root.append(translate(model));
  return () => closing.forEach((close) => close());
}
