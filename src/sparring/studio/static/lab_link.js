/* The socket to a lab: messages out, frames in. One lab per page; it lives on for a moment when the page is drawn anew. */

import { socket } from "./api.js";

let held = null;   /* { link, timer }: what the last page left */

/* A frame with arrays: byte 0, the head's length in 3 bytes, the head, float32 arrays. */
export const decode = (buffer) => {
  const bytes = new Uint8Array(buffer), size = bytes[1] | bytes[2] << 8 | bytes[3] << 16;
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
  let at = 4 + size;
  const arrays = {};
  for (const [name, shape] of head.arrays) {
    const count = shape.reduce((product, n) => product * n, 1);
    arrays[name] = { shape, values: new Float32Array(buffer, at, count) };
    at += 4 * count;
  }
  return { ...head, arrays };
};

class Link {
  constructor() {
    this.ready = null;      /* what there is to choose from */
    this.state = null;      /* the setup now, with the real points */
    this.doctor = null;
    this.listener = () => {};
    this.waiting = [];
    this.open();
  }

  open() {
    this.over = false;
    this.socket = socket("/lab/socket");
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.take(typeof event.data === "string" ? JSON.parse(event.data) : decode(event.data));
    this.socket.onclose = () => { this.over = true; this.listener({ kind: "closed" }); };
  }

  take(message) {
    if (message.kind === "state" || message.kind === "doctor" || message.kind === "ready" || message.kind === "frame") this[message.kind] = message;
    this.listener(message);
    if (message.kind === "ready") { const first = this.waiting; this.waiting = []; for (const each of first) this.say(each); }
    /* answered when it has been painted: a page that nobody sees gets no more frames */
    if (message.kind === "frame") requestAnimationFrame(() => this.say({ do: "seen", frame: message.number }));
  }

  say(message) {
    if (!this.ready) this.waiting.push(message);
    else if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  close() { this.listener = () => {}; this.socket.close(); }
}

/* The lab that the page before left a moment ago (another language), or a new one. */
export const take = () => {
  if (held) clearTimeout(held.timer);
  const link = held && !held.link.over ? held.link : new Link();
  held = null;
  return link;
};

export const leave = (link) => {
  link.listener = () => {};
  link.say({ do: "pause" });
  if (held) held.link.close();
  held = { link, timer: setTimeout(() => { link.close(); held = null; }, 1500) };
};
