// Elements are built, never parsed: text of the catalogue goes in as text and cannot become markup.

export const $ = (id) => document.getElementById(id);
export const path = encodeURIComponent;
export const nameOf = (item) => item.title || item.id;
export const number = (value) => value.toLocaleString("en");
export const count = (value, what) => `${number(value)} ${what}${value === 1 ? "" : "s"}`;
export const price = (value) => (value === null ? null : `$${value.toFixed(2)}`);

/** Return an element with attributes, listeners (on…) and children; null children are left out. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an SVG icon of a path on a field of 16 by 16. */
export function icon(shape) {
  const make = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const svg = make("svg", { viewBox: "0 0 16 16", "aria-hidden": "true", class: "icon" });
  svg.append(make("path", { d: shape }));
  return svg;
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Return a titled section. */
export function panel(title, right, ...children) {
  return el("section", { class: "panel" },
    el("div", { class: "top" }, el("h2", {}, title), right && el("span", { class: "right soft" }, right)), ...children);
}

const TIERS = {
  hot: "trained with interactions", warm: "known by content or history alone", cold: "nothing is known",
};

/** Return how much is known of a user or an item. */
export const chip = (tier) => el("span", { class: `chip ${tier}`, title: TIERS[tier] }, tier);

/** Return a failure as a person reads it. */
export const failure = (error) => el("p", { class: "note", role: "alert" }, error.message);

/** Tell people who listen to the page what has changed on it. */
export function announce(text) {
  $("status").textContent = "";
  requestAnimationFrame(() => { $("status").textContent = text; });
}
