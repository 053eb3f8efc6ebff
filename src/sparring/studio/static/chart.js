/* Curves over images seen, with a marker where the slider stands. As on the report page of a run. */

import { el, svg } from "./dom.js";
import { nearest, plain, score, short, ticks } from "./numbers.js";
import { t } from "./strings.js";

const LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 20, POINTS = 800;

/* Means over equal stretches, so that a line has about a point per pixel. */
const thinned = (points) => {
  const step = Math.ceil(points.length / POINTS) || 1;
  if (step === 1) return points;
  const found = [];
  for (let i = 0; i < points.length; i += step) {
    const part = points.slice(i, i + step);
    found.push([part[part.length - 1][0], part.reduce((sum, [, y]) => sum + y, 0) / part.length]);
  }
  return found;
};

/* The median of `reach` values to either side, fewer at the ends: centred, and blind to a single spike. */
const smooth = (points, reach) => points.map(([x], i) => {
  const near = Math.min(reach, i, points.length - 1 - i);
  const window = points.slice(i - near, i + near + 1).map(([, y]) => y).sort((a, b) => a - b);
  return [x, window[near]];
});

/* The range of the values; a few spikes may not flatten all the rest. */
const range = (lines) => {
  const all = lines.flatMap((line) => line.points.map(([, y]) => y)).sort((a, b) => a - b);
  if (!all.length) return { low: 0, high: 1, cut: false };
  const at = (share) => all[Math.round(share * (all.length - 1))];
  let low = all[0], high = all[all.length - 1];
  const inner = at(0.98) - at(0.02), cut = inner > 0 && high - low > 4 * inner;
  if (cut) { low = Math.max(low, at(0.02) - inner / 4); high = Math.min(high, at(0.98) + inner / 4); }
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.1 || 0.5;
  return { low: low - pad, high: high + pad, cut };
};

/* `choose(images)` is called where the chart is pressed. `set(lines, marks, end)`: lines are {term, colour, points:
   [[images, value], ...], other}, `other` of the run that it is compared with; marks are {images, title}. */
export const chart = (title, note, choose) => {
  const at = el("span", { class: "at" }), list = el("ul"), drawing = svg("svg", { role: "img" });
  const element = el("article", { class: "chart" }, el("header", {}, el("h3", {}, title), at), note ? el("p", {}, note) : null, list, drawing);
  let lines = [], marks = [], end = 1, extent = range([]), now = null, hovered = null, values = [], nodes = {}, wide = 0;
  const x = (images) => LEFT + (wide - LEFT - RIGHT) * images / end;
  const y = (value) => TOP + (drawing.clientHeight - TOP - BOTTOM) * (extent.high - Math.min(extent.high, Math.max(extent.low, value))) / (extent.high - extent.low);
  const place = (node, px) => { for (const name of ["x1", "x2", "cx"]) node.setAttribute(name, px); };

  const path = (points, name) => {
    if (!points.length) return;
    const d = "M" + (points.length === 1 ? [points[0], points[0]] : points).map(([a, b]) => x(a).toFixed(1) + " " + y(b).toFixed(1)).join("L");
    drawing.append(svg("path", { class: name, d, "stroke-linecap": "round" }));
  };

  const draw = () => {
    wide = drawing.clientWidth;
    const height = drawing.clientHeight;
    if (!wide || !height) return;
    drawing.replaceChildren();
    for (const value of ticks(extent.low, extent.high, 4)) {
      drawing.append(svg("line", { class: "rule", x1: LEFT, x2: wide - RIGHT, y1: y(value), y2: y(value) }),
        svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, score(value)));
    }
    for (const images of ticks(0, end, Math.max(3, wide / 90))) {
      const anchor = x(images) > wide - 20 ? "end" : images === 0 ? "start" : "middle";
      drawing.append(svg("text", { x: x(images), y: height - 4, "text-anchor": anchor }, short(images)));
    }
    for (const mark of marks) {
      drawing.append(svg("line", { class: "found", x1: x(mark.images), x2: x(mark.images), y1: TOP, y2: height - BOTTOM }, svg("title", {}, mark.title)));
    }
    for (const line of lines) {
      const long = line.points.length > 60, name = `line c${line.colour}${line.other ? " other" : ""}`;
      path(line.points, name + (long ? " raw" : ""));
      if (long) path(smooth(line.points, Math.round(line.points.length / 60)), name);
    }
    nodes = {
      cross: svg("line", { class: "cross", y1: TOP, y2: height - BOTTOM }), marker: svg("line", { class: "marker", y1: TOP - 4, y2: height - BOTTOM }),
      knob: svg("circle", { class: "knob", cy: TOP - 3, r: 4 }), dots: lines.map((line) => svg("circle", { class: "dot c" + line.colour, r: 3.5 })),
    };
    drawing.append(nodes.cross, ...nodes.dots, nodes.marker, nodes.knob);
    point();
  };

  /* The marker at the slider, the cross at the pointer, and the values there. */
  const point = () => {
    if (!nodes.marker) return;
    const where = hovered ?? now ?? end;
    for (const node of [nodes.marker, nodes.knob]) { node.toggleAttribute("hidden", now === null); if (now !== null) place(node, x(now)); }
    nodes.cross.toggleAttribute("hidden", hovered === null);
    if (hovered !== null) place(nodes.cross, x(hovered));
    at.textContent = (extent.cut ? t("chart.cut") + " · " : "") + t("chart.images", { n: plain(where) });
    lines.forEach((line, i) => {
      const found = line.points.length ? line.points[nearest(line.xs, where)] : null;
      values[i].textContent = found ? score(found[1]) : "–";
      nodes.dots[i].toggleAttribute("hidden", !found || hovered === null);
      if (found) { nodes.dots[i].setAttribute("cx", x(found[0])); nodes.dots[i].setAttribute("cy", y(found[1])); }
    });
  };

  const images = (event) => Math.min(end, Math.max(0, (event.clientX - drawing.getBoundingClientRect().left - LEFT) / (wide - LEFT - RIGHT) * end));
  const press = (event) => { if (event.buttons & 1) choose(images(event)); };
  drawing.addEventListener("pointermove", (event) => { hovered = images(event); point(); press(event); });
  drawing.addEventListener("pointerdown", press);
  drawing.addEventListener("pointerleave", () => { hovered = null; point(); });
  const watch = new ResizeObserver(draw);
  watch.observe(drawing);

  const set = (given, found, last) => {
    lines = given.map((line) => { const points = thinned(line.points); return { ...line, points, xs: points.map(([px]) => px) }; });
    marks = found;
    end = Math.max(1, last);
    extent = range(lines);
    values = lines.map(() => el("b"));
    list.replaceChildren(...lines.map((line, i) => el("li", { class: line.other ? "other" : null }, el("i", { class: "c" + line.colour }), line.term, " ", values[i])));
    const spoken = lines.filter((line) => line.points.length).map((line) => `${line.term}: ${score(line.points[0][1])} → ${score(line.points[line.points.length - 1][1])}`);
    drawing.setAttribute("aria-label", `${title}. ${spoken.join(". ")}`);
    draw();
  };
  return { element, set, at: (value) => { now = value; point(); }, close: () => watch.disconnect() };
};
