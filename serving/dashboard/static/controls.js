// What may be chosen about a list. It stands in the address, so that a list can be sent to somebody.

import { ask } from "./api.js";
import { el, path } from "./dom.js";

const DEFAULTS = { k: "24", diversity: "0", per: "", most: "2", category: "", brand: "", from: "", to: "" };

/** Return what the address chooses. */
export const read = (query) => ({ ...DEFAULTS, ...Object.fromEntries(new URLSearchParams(query)) });

/** Return the part of an address that chooses what is not as usual. */
export function write(chosen) {
  const given = Object.entries(chosen).filter(([name, value]) => name in DEFAULTS && value !== DEFAULTS[name]);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

const listed = (words) => words.split(",").map((word) => word.trim()).filter(Boolean);

/** Return the fields of a request. */
export function request(chosen) {
  const must = ["category", "brand"].filter((name) => listed(chosen[name]).length)
    .map((name) => ({ key: name, match: { any: listed(chosen[name]) } }));
  const range = { ...(chosen.from && { gte: Number(chosen.from) }), ...(chosen.to && { lte: Number(chosen.to) }) };
  if (Object.keys(range).length) must.push({ key: "price", range });
  return {
    k: Number(chosen.k), diversity: Number(chosen.diversity), explain: "full",
    ...(must.length && { filter: { must } }),
    ...(chosen.per && { max_per: { field: chosen.per, count: Number(chosen.most) } }),
  };
}

/** Return the form; `changed` is called with what is chosen, and `items` suggest words to filter by. */
export function form(chosen, changed, items) {
  const field = (label, node, note) => el("label", {}, el("span", {}, label), node, note);
  const input = (name, attributes) => el("input", { name, autocomplete: "off", ...attributes, value: chosen[name] });
  const options = (name, values) => el("select", { name }, values.map(([value, words]) => el("option", { value, selected: chosen[name] === value }, words)));
  const told = el("output", {}, Number(chosen.diversity).toFixed(1));
  const lengths = [...new Set(["12", "24", "48", "96", chosen.k])].sort((a, b) => a - b).map((k) => [k, k]);
  const filtered = ["category", "brand", "from", "to"].filter((name) => chosen[name]).length;
  const suggestions = { category: el("datalist", { id: "categories" }), brand: el("datalist", { id: "brands" }) };
  const node = el("form", { class: "controls", "aria-label": "What to show" },
    field("Show", options("k", lengths)),
    field("Diversity", input("diversity", { type: "range", min: 0, max: 1, step: 0.1, oninput: (event) => { told.textContent = Number(event.target.value).toFixed(1); } }), told),
    el("span", { class: "pair" }, field("At most", input("most", { type: "number", min: 1, max: 99 })),
      field("per", options("per", [["", "– no limit"], ["category", "category"], ["brand", "brand"]]))),
    el("details", { class: "filters", open: filtered > 0 }, el("summary", {}, filtered ? `Filters (${filtered})` : "Filters"), el("div", {},
      field("Category", input("category", { list: "categories", placeholder: "any" })), field("Brand", input("brand", { list: "brands", placeholder: "any" })),
      field("Price from", input("from", { type: "number", min: 0, step: "any" })), field("to", input("to", { type: "number", min: 0, step: "any" })),
      suggestions.category, suggestions.brand)));
  const tell = () => changed({ ...chosen, ...Object.fromEntries(new FormData(node)) });
  node.addEventListener("change", () => { if (node.reportValidity()) tell(); });
  node.addEventListener("submit", (event) => { event.preventDefault(); tell(); });
  node.querySelector("details").addEventListener("toggle", () => suggest(suggestions, items), { once: true });
  if (filtered) suggest(suggestions, items);
  return node;
}

/** Suggest the categories and brands of some items: the service lists neither. */
async function suggest(lists, items) {
  const known = await Promise.all(items.slice(0, 16).map((item) => ask(`/v1/items/${path(item.id)}`).catch(() => null)));
  const found = { category: known.flatMap((item) => item?.categories || []), brand: known.map((item) => item?.brand) };
  for (const [name, list] of Object.entries(lists)) {
    list.replaceChildren(...[...new Set(found[name].filter(Boolean))].sort().map((value) => el("option", { value })));
  }
}
