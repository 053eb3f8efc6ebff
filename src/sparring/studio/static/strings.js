/* Words in two languages. Every page registers its own: register({ en: { "run.title": "..." }, zh: { ... } }). */

const words = { en: {}, zh: {} };
const read = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
export const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private windows */ } };
export const kept = read;

let now = read("sparring.language") || (navigator.language.startsWith("zh") ? "zh" : "en");

export const language = () => now;
export const setLanguage = (name) => { now = name in words ? name : "en"; keep("sparring.language", now); };
export const register = (more) => { for (const name in words) Object.assign(words[name], more[name] || {}); };

/* The words for `key`, with {name} filled from `values`; the key itself where nobody has registered it. */
export const t = (key, values = {}) =>
  (words[now][key] ?? words.en[key] ?? key).replace(/\{(\w+)\}/g, (all, name) => name in values ? values[name] : all);

/* Keys that one language has and another lacks: a test asks. */
export const lacking = () => {
  const every = new Set(Object.values(words).flatMap(Object.keys));
  return Object.keys(words).flatMap((name) => [...every].filter((key) => !(key in words[name])).map((key) => name + ": " + key));
};

register({
  en: {
    "nav.runs": "Runs", "nav.new": "Train", "nav.explore": "Explore", "nav.lab": "Lab", "nav.tour": "Tour",
    "nav.label": "Parts of the studio", "nav.skip": "To the page",
    "language.switch": "中文", "language.label": "Switch to Chinese", "theme.label": "Light or dark", "theme.dark": "Dark", "theme.light": "Light",
    "error.title": "This did not work", "error.again": "Try again", "error.page": "There is no page '{name}'.",
    "error.unreachable": "The studio does not answer. Is 'sparring studio' still running?",
    "error.locked": "Open the address that 'sparring studio' has printed: it holds the token.",
    "loading": "Loading",
  },
  zh: {
    "nav.runs": "训练记录", "nav.new": "训练", "nav.explore": "探索", "nav.lab": "实验室", "nav.tour": "导览",
    "nav.label": "工作室的各个部分", "nav.skip": "跳到正文",
    "language.switch": "English", "language.label": "切换到英文", "theme.label": "浅色或深色", "theme.dark": "深色", "theme.light": "浅色",
    "error.title": "没有成功", "error.again": "再试一次", "error.page": "没有页面“{name}”。",
    "error.unreachable": "工作室没有回应。sparring studio 还在运行吗？",
    "error.locked": "请打开 sparring studio 打印出来的地址，令牌就在里面。",
    "loading": "正在读取",
  },
});
