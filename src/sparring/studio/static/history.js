/* What the events of a run say, kept as they come. */

/* Colours of a player's terms: real is blue and fake is red, its first other term has its corner's colour. */
const COLOURS = { fake: 0, generator: 0, real: 1, discriminator: 1 };
const DOCTORS = /(gradient norm|update ratio|weight size|dead share|real sign)$/;
const SHARES = ["told apart", "coverage", "classes", "spread", "nearest"];

const parted = (name) => { const cut = name.indexOf("/"); return cut < 0 ? ["", name] : [name.slice(0, cut), name.slice(cut + 1)]; };
const finite = (value) => typeof value === "number" && Number.isFinite(value);

export class History {
  constructor() { this.clear(); }

  clear() {
    this.of = ""; this.at = 0;
    this.samples = []; this.losses = []; this.probes = []; this.findings = []; this.remedies = [];
    this.images = [[0, 0]];   /* [round, images seen] */
  }

  /* The answer to a request for events; true where something is new. */
  take(answer) {
    if (answer.fresh) this.clear();
    this.of = answer.of;
    this.at = answer.at;
    for (const event of answer.events) this.add(event);
    return answer.fresh || answer.events.length > 0;
  }

  add(event) {
    const round = event.round;
    if (!Number.isInteger(round) || round < 0) return;
    if (event.event === "resume" || event.event === "rollback") {   /* what came after will happen again */
      for (const name of ["samples", "losses", "probes"]) this[name] = this[name].filter((earlier) => earlier.round <= round);
      this.images = this.images.filter(([earlier]) => earlier <= round);
      if (event.event === "rollback") this.remedies.push(event);
    }
    if (finite(event.images)) this.see(round, event.images);
    if (event.event === "samples" && typeof event.file === "string") this.keep("samples", event);
    if (event.event === "losses" && event.values && typeof event.values === "object") this.keep("losses", event);
    if (event.event === "probe" && event.values && typeof event.values === "object") this.keep("probes", event);
    if (event.event === "finding") this.findings.push(event);
  }

  keep(name, event) {
    const list = this[name];
    if (list.length && list[list.length - 1].round === event.round) list[list.length - 1] = event;
    else if (!list.length || list[list.length - 1].round < event.round) list.push(event);
  }

  see(round, images) {
    const [last] = this.images[this.images.length - 1];
    if (round > last) this.images.push([round, images]);
  }

  /* Images seen at a round, between those that are known. */
  seen(round) {
    const list = this.images;
    let low = 0, high = list.length - 1;
    if (high === 0) return round;
    while (high - low > 1) { const middle = (low + high) >> 1; if (list[middle][0] <= round) low = middle; else high = middle; }
    const [r0, i0] = list[low], [r1, i1] = list[high];
    return r1 === r0 ? i1 : i0 + (i1 - i0) * (round - r0) / (r1 - r0);
  }

  get end() {
    const last = (list) => list.length ? list[list.length - 1].round : 0;
    return this.seen(Math.max(last(this.samples), last(this.losses), last(this.probes)));
  }

  stops() { return this.samples.map((event) => finite(event.images) ? event.images : this.seen(event.round)); }

  series(events, name) {
    return events.filter((event) => finite(event.values[name])).map((event) => [finite(event.images) ? event.images : this.seen(event.round), event.values[name]]);
  }

  /* [{key, kind, player, lines: [{term, colour, points}]}]: a chart per player for losses and for scores; then scores. */
  charts() {
    const groups = new Map();
    for (const event of this.losses) for (const name in event.values) {
      if (DOCTORS.test(name)) continue;
      const [player, term] = parted(name), kind = term.includes("score") ? "scores" : "losses", key = `${player} ${kind}`;
      if (!groups.has(key)) groups.set(key, { key, kind, player, names: new Set() });
      groups.get(key).names.add(name);
    }
    const found = [...groups.values()].map((group) => ({ ...group, lines: this.coloured(group.player, [...group.names], this.losses) }));
    const probed = new Set(this.probes.flatMap((event) => Object.keys(event.values)));
    if (probed.has("distance")) found.push({ key: "distance", kind: "distance", player: "", lines: [{ term: "distance", colour: 4, points: this.series(this.probes, "distance") }] });
    const shares = SHARES.filter((name) => probed.has(name));
    if (shares.length) found.push({ key: "shares", kind: "shares", player: "", lines: shares.map((term, i) => ({ term, colour: (i + 1) % 6, points: this.series(this.probes, term) })) });
    return found.filter((group) => group.lines.some((line) => line.points.length));
  }

  coloured(player, names, events) {
    const used = new Set(), rest = [2, 3, 4, 5];
    const corner = Object.keys(COLOURS).find((word) => player.includes(word));
    return names.map((name) => {
      const term = parted(name)[1], first = Object.keys(COLOURS).find((word) => term.startsWith(word));
      let colour = first !== undefined ? COLOURS[first] : corner !== undefined && !used.has(COLOURS[corner]) ? COLOURS[corner] : rest.shift() ?? 5;
      if (used.has(colour)) colour = rest.shift() ?? 5;
      used.add(colour);
      return { term, colour, points: this.series(events, name) };
    });
  }
}
