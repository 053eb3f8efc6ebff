/* The frame: header, language, light or dark, and one page after another, by the address after the #. */

import { Problem, get } from "./api.js";
import { keep, kept, language, setLanguage, t } from "./strings.js";
import { el } from "./dom.js";

const MODULES = { runs: "runs", run: "run", new: "new", explore: "explore", lab: "lab", tour: "tour" };
const page = document.getElementById("page"), nav = document.getElementById("nav"), told = document.getElementById("told");
let unmount = null, turn = 0, pages = ["runs", "new"];

/* What a page gets besides its root: `argument` (what follows the page's name), `query` (what follows a ?), the pages that there are, and ways to
   go and to tell. */
const context = (argument, query) => ({
  argument,
  query,
  pages,
  go: (hash) => { location.hash = hash; },
  tell: (text) => { told.textContent = text; clearTimeout(tell.timer); tell.timer = setTimeout(() => { told.textContent = ""; }, 6000); },
});
const tell = {};

/* A problem in words, where it can be seen. */
export const problem = (error, again) => {
  const words = !(error instanceof Problem) ? String(error.message || error)
    : error.status === 0 ? t("error.unreachable") : error.status === 401 ? t("error.locked") : error.message;
  const button = again && el("button", { type: "button", class: "button", onclick: again }, t("error.again"));
  return el("section", { class: "problem", role: "alert" }, el("h2", {}, t("error.title")), el("p", {}, words), button);
};

const show = async () => {
  const mine = ++turn;
  const [place, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [name, ...rest] = place.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  const wanted = name || "runs";
  header(wanted);
  try { if (unmount) unmount(); } catch (error) { console.error(error); }
  unmount = null;
  const root = el("div", { class: "page page-" + wanted });
  page.replaceChildren(root);
  try {
    if (!(wanted in MODULES)) throw new Error(t("error.page", { name: wanted }));
    const module = await import(`./${MODULES[wanted]}.js`);
    if (mine !== turn) return;
    const done = await module.mount(root, context(rest.join("/"), new URLSearchParams(query)));
    if (mine === turn) unmount = done; else if (done) done();
  } catch (error) {
    console.error(error);
    if (mine === turn) page.replaceChildren(problem(error, show));
  }
};

const header = (current) => {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  nav.setAttribute("aria-label", t("nav.label"));
  const beneath = current === "run" ? "runs" : current;
  nav.replaceChildren(...pages.map((name) =>
    el("a", { href: "#/" + name, "aria-current": name === beneath ? "page" : null }, t("nav." + name))));
  document.title = `${t("nav." + beneath)} · Sparring`;
  const skip = document.getElementById("skip"), words = document.getElementById("language"), theme = document.getElementById("theme");
  skip.textContent = t("nav.skip");
  words.textContent = t("language.switch");
  words.setAttribute("aria-label", t("language.label"));
  theme.textContent = t(dark() ? "theme.light" : "theme.dark");
  theme.setAttribute("aria-label", t("theme.label"));
};

const dark = () => {
  const chosen = kept("sparring.theme");
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const paint = () => { document.documentElement.style.colorScheme = kept("sparring.theme") || "light dark"; };

document.getElementById("language").addEventListener("click", () => { setLanguage(language() === "zh" ? "en" : "zh"); show(); });
document.getElementById("theme").addEventListener("click", () => {
  keep("sparring.theme", dark() ? "light" : "dark");
  paint();
  header(location.hash.split(/[/?]/)[1] || "runs");
  dispatchEvent(new Event("themechange"));   /* for pages that paint on a canvas */
});
document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); page.focus(); });
addEventListener("hashchange", show);

paint();
get("/api/studio").then((about) => { pages = about.pages; }, () => {}).then(show);
