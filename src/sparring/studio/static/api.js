/* Requests to the studio. The cookie that opening the printed address has set carries the token. */

export class Problem extends Error {
  /* `status` 0: the studio was not reached. `field`: the setting that the message is about, or null. */
  constructor(message, status, field = null) {
    super(message);
    this.status = status;
    this.field = field;
  }
}

/* "api/runs/{}" with its parts encoded: path("api/runs", name, "events"). */
export const path = (...parts) => "/" + parts.map((part, i) => i ? encodeURIComponent(part) : part).join("/");

const ask = async (method, address, body, type, signal) => {
  let response;
  try {
    const headers = type ? { "content-type": type } : {};
    response = await fetch(address, { method, headers, body, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreachable", 0);
  }
  if (response.ok) return response;
  let told = {};
  try { told = await response.json(); } catch { /* not JSON: the status says it */ }
  throw new Problem(told.error || response.statusText || String(response.status), response.status, told.field ?? null);
};

export const get = async (address, signal) => (await ask("GET", address, undefined, undefined, signal)).json();
export const blob = async (address, signal) => (await ask("GET", address, undefined, undefined, signal)).blob();
export const post = async (address, values = {}, signal) =>
  (await ask("POST", address, JSON.stringify(values), "application/json", signal)).json();
export const postBlob = async (address, values = {}, signal) =>
  (await ask("POST", address, JSON.stringify(values), "application/json", signal)).blob();
export const put = async (address, file, signal) =>
  (await ask("PUT", address, file, "application/octet-stream", signal)).json();
export const remove = async (address) => (await ask("DELETE", address)).json();

/* A websocket at the same place. */
export const socket = (address) => new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${address}`);
