/* Small curves of a lab: each a few lines over rounds, with the floor that other real points would score. */

import { el, svg } from "./dom.js";
import { t } from "./strings.js";

const WIDTH = 260, HEIGHT = 74, MOST = 500;

/* key -> lines: [name, colour class], and the largest value that the axis must reach. */
export const CHARTS = {
  kl: { lines: [["kl", "c1"], ["reverse kl", "c0"]] },
  js: { lines: [["js", "c2"]], top: Math.LN2 },
  wasserstein: { lines: [["wasserstein", "c3"]] },
  modes: { lines: [["modes", "c4"]] },
  losses: { lines: [["discriminator/objective", "c1"], ["generator/objective", "c0"]], signed: true },
  push: { lines: [["push", "c5"]] },
};

const short = (value) => value === undefined ? "–" : Math.abs(value) >= 100 ? value.toFixed(0)
  : Math.abs(value) >= 0.01 || value === 0 ? value.toFixed(Math.abs(value) < 1 ? 3 : 2) : value.toExponential(0);

class Chart {
  constructor(key) {
    this.key = key;
    Object.assign(this, { top: 0, signed: false }, CHARTS[key]);
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.now = this.lines.map(([name, colour]) => el("b", { class: colour, "data-value": name }, "–"));
    const legend = this.lines.map(([name], i) => el("span", {}, this.lines.length > 1 ? t("lab.line." + name) + " " : "", this.now[i]));
    this.element = el("figure", { class: "lab-chart", "data-chart": key, title: t(`lab.chart.${key}.help`) },
      el("figcaption", {}, el("span", {}, t("lab.chart." + key)), el("span", { class: "lab-values" }, legend)), this.picture);
    this.clear({});
  }

  clear(floor) {
    this.floor = floor[this.lines[0][0]];
    this.rows = [];
    this.draw();
  }

  add(round, values) {
    const row = this.lines.map(([name]) => values[name]);
    if (row.every((value) => value === undefined)) return;
    this.rows.push([round, ...row]);
    if (this.rows.length > MOST) this.rows = this.rows.filter((_, i) => i % 2);
    this.draw();
  }

  draw() {
    const all = this.rows.flatMap((row) => row.slice(1)).filter((value) => value !== undefined);
    const high = Math.max(this.top, ...(this.signed ? [] : [1e-9]), ...all) * 1.05 || 1, low = this.signed ? Math.min(0, ...all) : 0;
    const first = this.rows[0]?.[0] ?? 0, end = Math.max(first + 1, this.rows.at(-1)?.[0] ?? 1);
    const y = (value) => HEIGHT - 2 - (HEIGHT - 5) * (value - low) / (high - low || 1);
    const paths = this.lines.map(([, colour], i) => {
      const d = this.rows.filter((row) => row[i + 1] !== undefined)
        .map((row, n) => `${n ? "L" : "M"}${(WIDTH * (row[0] - first) / (end - first)).toFixed(1)} ${y(row[i + 1]).toFixed(1)}`).join("");
      return svg("path", { d, class: "lab-line " + colour });
    });
    const level = (value, kind) => value === undefined ? null : svg("line", { x1: 0, x2: WIDTH, y1: y(value), y2: y(value), class: kind });
    this.picture.replaceChildren(...[level(low, "lab-base"), level(this.top || undefined, "lab-top"),
      this.key === "modes" || this.signed ? null : level(this.floor, "lab-floor"), ...paths].filter(Boolean));
    this.now.forEach((node, i) => {
      const last = this.rows.findLast((row) => row[i + 1] !== undefined);
      node.textContent = last ? this.key === "modes" ? `${last[i + 1]} / ${this.top}` : short(last[i + 1]) : "–";
    });
  }
}

export class Curves {
  constructor(keys) {
    this.charts = keys.map((key) => new Chart(key));
    this.element = el("div", { class: "lab-curves" }, this.charts.map((chart) => chart.element));
  }

  /* A new lab, or the same at its beginning. */
  clear(floor, modes) {
    for (const chart of this.charts) {
      if (chart.key === "modes") { chart.top = modes; chart.element.hidden = !modes; }
      chart.clear(floor);
    }
  }

  add(round, values) { for (const chart of this.charts) chart.add(round, values); }
}
