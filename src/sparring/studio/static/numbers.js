/* Numbers as people read them, in the language of the page. */

import { language, t } from "./strings.js";

const format = (options) => (value) => new Intl.NumberFormat(language(), options).format(value);
export const plain = format({ maximumFractionDigits: 0 });
export const short = format({ notation: "compact" });
export const score = (value) => value === null || value === undefined ? "–" : format({ maximumSignificantDigits: 3 })(value);
export const percent = format({ style: "percent", maximumFractionDigits: 0 });

/* 4 s, 3 min 20 s, 2 h 5 min */
export const duration = (seconds) => {
  const whole = Math.round(seconds);
  if (whole < 60) return t("time.s", { s: whole });
  if (whole < 3600) return t("time.m", { m: Math.floor(whole / 60), s: whole % 60 });
  return t("time.h", { h: Math.floor(whole / 3600), m: Math.floor(whole % 3600 / 60) });
};

/* 1.24 ± 0.08, 11.2 ± 0.1: no more digits than the error leaves. */
export const withError = (value, error) => {
  if (!error || !Number.isFinite(error)) return score(value);
  const digits = Math.min(8, Math.max(0, -Math.floor(Math.log10(error))));
  const shown = format({ minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${shown(value)} ± ${shown(error)}`;
};

/* Index of the value in a rising list that is nearest to `wanted`. */
export const nearest = (list, wanted) => {
  let low = 0, high = list.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] <= wanted) low = middle; else high = middle;
  }
  return Math.abs(list[high] - wanted) < Math.abs(list[low] - wanted) ? high : low;
};

/* Round numbers inside [low, high], about `count` of them. */
export const ticks = (low, high, count) => {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw) || raw;
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) found.push(i * step || 0);   /* never -0 */
  return found;
};
