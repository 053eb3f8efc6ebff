/* A lab on a page: the plane, what moves it, its curves, and the doctor. The lab page and every step of the tour have one. */

import { el } from "./dom.js";
import { meaning, named } from "./findings.js";
import { Curves } from "./lab_curves.js";
import { leave, take } from "./lab_link.js";
import { LAYERS, Stage, felt } from "./lab_stage.js";
import { language, t } from "./strings.js";
import "./lab_words.js";

const PACES = { slow: 2, steady: 25, full: 0 };

/* The style sheet of the lab, once. */
const styled = () => new Promise((resolve) => {
  if (document.getElementById("lab-style")) { resolve(); return; }
  const sheet = el("link", { id: "lab-style", rel: "stylesheet", href: "/static/lab.css", onload: resolve, onerror: resolve });
  document.head.append(sheet);
});

export class Bench {
  /* `charts`: keys of curves. `changed(state)` after every new setup, `ready(ready)` once. */
  constructor({ charts, changed = () => {}, ready = () => {} }) {
    this.changed = changed;
    this.prepared = ready;
    this.playing = false;
    this.stage = new Stage((points) => this.say({ do: "begin", set: "drawn", points, settings: this.settings() }));
    this.curves = new Curves(charts);
    this.build();
  }

  async start() {
    await styled();
    this.link = take();
    this.link.listener = (message) => this.hear(message);
    if (this.link.ready) for (const kind of ["ready", "state", "frame", "doctor"]) if (this.link[kind]) this.hear(this.link[kind]);
  }

  close() { this.stage.close(); if (this.link) leave(this.link); }
  say(message) { this.link.say(message); }
  settings() { return this.state ? this.state.settings : {}; }

  /* Go on from what the page shows, at the chosen pace. */
  play(rounds = 0) { this.say({ do: "play", pace: PACES[this.pace.value], rounds }); }
  pause() { this.say({ do: "pause" }); }
  step(who, count = 1) { this.say({ do: "step", who, count }); }
  begin(setup) { this.stage.draw(false); this.say({ do: "begin", ...setup }); }
  sick(name) { this.stage.draw(false); this.say({ do: "sick", name }); this.play(); }

  cure(kind, anew) { this.say({ do: "cure", kind, anew }); this.play(); }

  build() {
    const button = (key, act, kind = "button") => el("button", { type: "button", class: kind, "data-do": key, onclick: act }, t("lab." + key));
    this.go = button("play", () => this.playing ? this.pause() : this.play(), "primary");
    this.pace = el("select", { "aria-label": t("lab.pace"), onchange: () => { if (this.playing) this.play(); } },
      Object.keys(PACES).map((key) => el("option", { value: key, selected: key === "full" }, t("lab.pace." + key))));
    this.steps = ["discriminator", "generator", "both"].map((who) => button("step." + who, () => this.step(who)));
    this.again = button("again", () => this.begin({ set: this.state.set, points: this.stage.points, settings: this.settings(), seed: this.state.seed }));
    this.other = button("other", () => this.begin({ set: this.state.set, points: this.stage.points, settings: this.settings(), seed: this.state.seed + 1 }), "plain");
    this.controls = el("div", { class: "lab-controls", role: "group", "aria-label": t("lab.controls") },
      this.go, this.pace, el("span", { class: "lab-steps" }, this.steps), this.again, this.other);
    this.layers = el("div", { class: "lab-layers" }, LAYERS.map((name) => el("label", { class: "lab-layer lab-is-" + name },
      el("input", { type: "checkbox", checked: true, "data-layer": name, onchange: (event) => this.layer(name, event.target.checked) }), t("lab.layer." + name))));
    this.rounds = el("output", { class: "lab-rounds", "data-rounds": "0" });
    this.trouble = el("p", { class: "lab-trouble", role: "alert", hidden: true });
    this.wait = el("p", { class: "lab-wait", role: "status" }, t("lab.starting"));
    this.plane = el("div", { class: "lab-stage" }, this.stage.canvas, this.wait);
    this.doctor = el("div", { class: "lab-doctor", "aria-live": "polite" });
    this.times = [];
  }

  layer(name, on) {
    this.stage.shown[on ? "add" : "delete"](name);
    this.stage.paint();
  }

  hear(message) {
    const act = { ready: this.onReady, state: this.onState, frame: this.onFrame, doctor: this.onDoctor, error: this.onError, full: this.onError, ended: this.onError, closed: this.onClosed };
    if (act[message.kind]) act[message.kind].call(this, message);
  }

  onReady(ready) {
    this.ready = ready;
    this.stage.view = ready.view;
    this.prepared(ready);
  }

  onState(state) {
    const anew = !state.round || !this.state;
    this.state = state;
    this.stage.real = state.arrays.real;
    this.trouble.hidden = true;
    if (anew) { this.curves.clear(state.floor, state.modes); this.times = []; }
    this.changed(state);
  }

  onFrame(frame) {
    this.wait.hidden = true;
    this.stage.show(frame);
    if (this.playing !== frame.playing) { this.playing = frame.playing; this.go.textContent = t(frame.playing ? "lab.pause" : "lab.play"); }
    const push = felt(frame.arrays.pushes);
    if (frame.measures) this.curves.add(frame.round, { ...frame.measures, ...frame.values, push });
    const now = performance.now();
    this.times = [...this.times.filter(([at]) => now - at < 2000), [now, frame.round]];
    const [at, round] = this.times[0], seconds = (now - at) / 1000, moving = frame.playing && seconds > 0.5;
    this.rounds.dataset.rounds = frame.round;
    this.rounds.dataset.frames = moving ? ((this.times.length - 1) / seconds).toFixed(1) : "";
    this.rounds.dataset.rate = moving ? ((frame.round - round) / seconds).toFixed(0) : "";
    this.rounds.textContent = t("lab.round", { round: frame.round.toLocaleString("en") }) + (moving ? " · " + t("lab.rate", { rate: this.rounds.dataset.rate }) : "");
  }

  onDoctor(message) {
    const { findings, looks, round } = message;
    const said = findings.map((finding) => this.finding(finding));
    const quiet = looks < 4 ? t("lab.doctor.early", { look: this.ready.look }) : t("lab.doctor.healthy", { looks });
    this.doctor.dataset.kinds = findings.map((finding) => finding.kind).join(",");
    this.doctor.dataset.round = round;
    const same = said.length && said.length === this.doctor.querySelectorAll("article").length && this.doctor.dataset.said === this.doctor.dataset.kinds;
    this.doctor.dataset.said = this.doctor.dataset.kinds;
    if (same) {  /* do not take a button from under the pointer: only the words change */
      this.doctor.querySelectorAll("article").forEach((node, i) => { node.querySelector(".lab-what").replaceWith(said[i].querySelector(".lab-what")); });
      return;
    }
    this.doctor.replaceChildren(...(said.length ? said : [el("p", { class: looks < 4 ? "soft" : "lab-well" }, quiet)]));
  }

  /* Its name and meaning, and the doctor's own sentence. */
  finding({ kind, since, what, remedy, cure }) {
    const act = (anew, key, look) => el("button", { type: "button", class: look, "data-cure": anew ? "anew" : "on", onclick: () => this.cure(kind, anew) }, t(key));
    return el("article", { class: "lab-finding", "data-kind": kind },
      el("h3", {}, named(kind), el("small", {}, " " + t("lab.since", { round: since }))),
      meaning(kind),
      el("p", { class: "lab-what", lang: "en" }, what[0].toUpperCase() + what.slice(1) + "."),
      el("p", { class: "fine", lang: "en" }, (language() === "en" ? "Try: " : "") + remedy + "."),
      cure.length ? el("p", { class: "lab-change" }, el("code", {}, cure.join("; "))) : null,
      cure.length ? el("p", { class: "lab-cures" }, act(true, "lab.cure", "primary"), act(false, "lab.cure.on", "button")) : el("p", { class: "fine" }, t("lab.no-cure")));
  }

  onError(message) {
    this.trouble.textContent = message.text;
    this.trouble.hidden = false;
    this.wait.hidden = this.wait.hidden || message.kind !== "error";
    if (this.state) this.changed(this.state);
  }

  onClosed() {
    this.trouble.hidden = false;
    if (!this.trouble.textContent || this.ready) this.trouble.textContent = t("lab.closed");
    this.wait.hidden = true;
    this.go.disabled = true;
    const again = el("button", { type: "button", class: "button", onclick: () => dispatchEvent(new HashChangeEvent("hashchange")) }, t("error.again"));
    this.trouble.append(" ", again);
  }
}
