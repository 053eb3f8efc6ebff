/* The plane: what the discriminator thinks of every place, the sheet that the generator bends, points, and pushes. */

import { el } from "./dom.js";
import { t } from "./strings.js";

const rgb = (variable) => {
  const probe = el("span", { hidden: true });
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
  probe.remove();
  return found;
};

export const LAYERS = ["heat", "lines", "real", "fakes", "pushes"];

export class Stage {
  /* `drawn(points)` is called when a stroke has ended in drawing mode. */
  constructor(drawn) {
    this.canvas = el("canvas", { class: "lab-plane", role: "img", tabindex: "0" });
    this.brush = this.canvas.getContext("2d");
    this.heat = document.createElement("canvas");
    this.shown = new Set(LAYERS);
    this.frame = this.real = null;
    this.view = 1.5;
    this.drawing = false;
    this.points = [];
    this.cursor = [0, 0];
    this.drawn = drawn;
    this.canvas.addEventListener("pointerdown", (event) => this.pen(event, true));
    this.canvas.addEventListener("pointermove", (event) => this.pen(event, false));
    this.canvas.addEventListener("pointerup", () => this.lift());
    this.canvas.addEventListener("pointercancel", () => this.lift());
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.watcher = new ResizeObserver(() => this.paint());
    this.watcher.observe(this.canvas);
    this.themed = () => { this.colours = null; this.paint(); };
    addEventListener("themechange", this.themed);
    this.media = matchMedia("(prefers-color-scheme: dark)");
    this.media.addEventListener("change", this.themed);
  }

  close() {
    this.watcher.disconnect();
    removeEventListener("themechange", this.themed);
    this.media.removeEventListener("change", this.themed);
  }

  show(frame) { this.frame = frame; this.paint(); }

  /* Drawing by pointer, or by arrow keys and space. */
  draw(on, points = []) {
    this.drawing = on;
    this.points = points;
    this.canvas.classList.toggle("lab-drawing", on);
    this.paint();
  }

  pen(event, down) {
    if (!this.drawing || !(event.buttons & 1)) return;
    if (down) this.canvas.setPointerCapture(event.pointerId);
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * 2 - 1, y = 1 - (event.clientY - box.top) / box.height * 2;
    this.ink(x * this.view, y * this.view);
    this.inking = true;
    event.preventDefault();
  }

  ink(x, y) {
    const most = 1600, edge = this.view * 0.98;
    if (Math.abs(x) > edge || Math.abs(y) > edge || this.points.length >= most) return;
    this.points.push([Math.round(x * 1e3) / 1e3, Math.round(y * 1e3) / 1e3]);
    this.paint();
  }

  lift() {
    if (this.drawing && this.inking) { this.inking = false; this.drawn(this.points); }
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!this.drawing || (!step && event.key !== " " && event.key !== "Enter")) return;
    event.preventDefault();
    event.stopPropagation();
    if (step) {
      const far = (event.shiftKey ? 0.2 : 0.05) * this.view, most = this.view * 0.95;
      this.cursor = this.cursor.map((value, i) => Math.min(most, Math.max(-most, value + step[i] * far)));
      this.paint();
    } else {
      this.ink(...this.cursor);
      this.drawn(this.points);
    }
  }

  place(x, y) { return [(x / this.view + 1) / 2 * this.width, (1 - y / this.view) / 2 * this.height]; }

  paint() {
    const ratio = devicePixelRatio || 1, box = this.canvas.clientWidth;
    if (!box) return;
    this.width = this.height = box;
    if (this.canvas.width !== Math.round(box * ratio)) this.canvas.width = this.canvas.height = Math.round(box * ratio);
    this.colours ??= { red: rgb("--red"), blue: rgb("--blue"), paper: rgb("--paper"), ink: rgb("--ink"), soft: rgb("--soft") };
    const brush = this.brush;
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    brush.fillStyle = `rgb(${this.colours.paper.join(" ")})`;
    brush.fillRect(0, 0, box, box);
    const arrays = this.frame ? this.frame.arrays : {};
    if (this.shown.has("heat") && arrays.heat) this.paintHeat(arrays.heat);
    if (this.shown.has("lines") && arrays.lines) this.paintLines(arrays.lines);
    if (this.drawing) this.dots(this.points.flat(), this.colours.ink, 2.4, 0.8);
    if (this.shown.has("real") && this.real) this.dots(this.real.values, this.colours.blue, 2, 0.75);
    if (this.shown.has("fakes") && arrays.fakes) this.dots(arrays.fakes.values, this.colours.red, 2, 0.85);
    if (this.shown.has("pushes") && arrays.pushes) this.paintPushes(arrays);
    if (this.drawing) this.paintCursor();
    this.tell();
  }

  /* Blue where a point is taken for real, red where for fake, paper where it cannot tell. */
  paintHeat({ shape: [rows, columns], values }) {
    const { red, blue, paper } = this.colours, { boundary, values: losses } = this.frame;
    const real = losses["discriminator/real score"], fake = losses["discriminator/fake score"];
    const known = real !== undefined && fake !== undefined;
    let sum = 0;
    for (const value of values) sum += value;
    const middle = boundary ?? (known ? (real + fake) / 2 : sum / values.length);
    const scale = Math.max(known ? Math.abs(real - fake) / 2 : 0, boundary === null ? 1e-6 : 0.25);
    this.heat.width = columns; this.heat.height = rows;
    const brush = this.heat.getContext("2d"), picture = brush.createImageData(columns, rows);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
      const share = Math.tanh((values[i * columns + j] - middle) / scale), colour = share > 0 ? blue : red;
      const at = 4 * ((rows - 1 - i) * columns + j), weight = Math.abs(share) * 0.42;
      for (let c = 0; c < 3; c++) picture.data[at + c] = paper[c] + (colour[c] - paper[c]) * weight;
      picture.data[at + 3] = 255;
    }
    brush.putImageData(picture, 0, 0);
    this.brush.imageSmoothingEnabled = true;
    this.brush.imageSmoothingQuality = "high";
    this.brush.drawImage(this.heat, 0, 0, this.width, this.height);
  }

  paintLines({ shape: [count, along], values }) {
    const brush = this.brush;
    brush.strokeStyle = `rgb(${this.colours.red.join(" ")} / ${count > 1 ? 0.38 : 0.8})`;
    brush.lineWidth = 1;
    brush.beginPath();
    for (let line = 0; line < count; line++) for (let i = 0; i < along; i++) {
      const at = 2 * (line * along + i), place = this.place(values[at], values[at + 1]);
      if (i) brush.lineTo(...place); else brush.moveTo(...place);
    }
    brush.stroke();
  }

  dots(values, colour, radius, alpha) {
    const brush = this.brush;
    brush.fillStyle = `rgb(${colour.join(" ")} / ${alpha})`;
    brush.beginPath();
    for (let i = 0; i < values.length; i += 2) {
      const [x, y] = this.place(values[i], values[i + 1]);
      brush.moveTo(x + radius, y);
      brush.arc(x, y, radius, 0, 2 * Math.PI);
    }
    brush.fill();
  }

  /* As long as the push is strong, up to a seventh of the plane: where nothing is felt there is no arrow. */
  paintPushes({ pushes, fakes }) {
    const brush = this.brush, count = pushes.shape[0];
    brush.strokeStyle = `rgb(${this.colours.ink.join(" ")} / .75)`;
    brush.lineWidth = 1.1;
    brush.beginPath();
    for (let i = 0; i < count; i++) {
      const dx = pushes.values[2 * i], dy = pushes.values[2 * i + 1], size = Math.hypot(dx, dy);
      const long = this.width / 7 * size / (size + 0.5);
      if (!(long > 1.5)) continue;
      const [x, y] = this.place(fakes.values[2 * i], fakes.values[2 * i + 1]), angle = Math.atan2(-dy, dx);
      const tx = x + long * Math.cos(angle), ty = y + long * Math.sin(angle), head = Math.min(5, long / 2);
      brush.moveTo(x, y);
      brush.lineTo(tx, ty);
      for (const side of [-0.45, 0.45]) {
        brush.moveTo(tx, ty);
        brush.lineTo(tx - head * Math.cos(angle + side), ty - head * Math.sin(angle + side));
      }
    }
    brush.stroke();
  }

  paintCursor() {
    const [x, y] = this.place(...this.cursor), brush = this.brush;
    brush.strokeStyle = `rgb(${this.colours.soft.join(" ")})`;
    brush.lineWidth = 1;
    brush.beginPath();
    brush.moveTo(x - 9, y); brush.lineTo(x + 9, y);
    brush.moveTo(x, y - 9); brush.lineTo(x, y + 9);
    brush.stroke();
  }

  /* For those who cannot see it. */
  tell() {
    if (this.drawing) { this.canvas.setAttribute("aria-label", t("lab.plane.drawing", { count: this.points.length })); return; }
    if (this.frame && this.frame.measures) this.canvas.setAttribute("aria-label", t("lab.plane", { round: this.frame.round, js: this.frame.measures.js ?? "-" }));
  }
}

/* The median length of the pushes: what a fake feels. */
export const felt = ({ values }) => {
  const sizes = [];
  for (let i = 0; i < values.length; i += 2) sizes.push(Math.hypot(values[i], values[i + 1]));
  return sizes.sort((a, b) => a - b)[sizes.length >> 1];
};
