/* Elements made without a string of HTML: whatever a run is called, it stays text. */

const SVG = "http://www.w3.org/2000/svg";

const fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value === "boolean") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
};

/* el("button", { class: "button", onclick: save }, "Save"); null attributes and children are left out. */
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
/* Draws `node` anew by `make` only where `told`, plain values, has changed since: what is open, held or read in it stays. */
export const renew = (node, told, make) => {
  const now = JSON.stringify(told);
  if (node.told === now) return false;
  node.told = now;
  node.replaceChildren(...[make()].flat(Infinity).filter(Boolean));
  return true;
};
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
