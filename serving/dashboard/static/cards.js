// An item as lists show it: picture, price, reasons, and what speaks for it.

import { ask, showPicture } from "./api.js";
import * as basket from "./basket.js";
import { announce, chip, el, icon, nameOf, path, price } from "./dom.js";

const RELATIONS = {
  bought_together: "taken together", text: "text", image: "picture", model: "model", popular: "popularity", popularity: "popularity",
  users: "users alike", second: "closed form", closest: "nearest items", history: "history",
};
const COLOURS = ["bought_together", "text", "image", "model", "users", "second"];
/** What the second stage's features are about: `text_max` is text, `vectors_rank` the model. */
const FAMILIES = { cooccurrence: "bought_together", vectors: "model", neighbours: "users", profiles: "users" };
const KINDS = { sum: "all items", max: "the closest item", two: "two steps away", rank: "by rank" };
const family = (relation) => {
  const stem = relation.replace(/_(sum|max|two|rank|\d+)$/, "");
  return FAMILIES[stem] || stem;
};
const THUMB = "M5 7v7M5 14H2V7h3l3-5.5c1.2 0 2 .9 1.8 2L9.3 6h3.2c1 0 1.7.9 1.5 1.9l-1 4.7c-.2.8-.9 1.4-1.7 1.4H5";

export const relationName = (relation) => RELATIONS[relation] || relation.replaceAll("_", " ");
const colour = (relation) => `r-${COLOURS.includes(relation) ? relation : "other"}`;
const percent = (share) => `${Math.round(100 * share)} %`;

/** Return an item's picture, over its initials for where there is none. */
export function picture(item, ...more) {
  const words = nameOf(item).replace(/[^\p{L}\p{N} ]/gu, "").trim().split(/\s+/);
  const initials = words.slice(0, 2).map((word) => word[0] || "").join("").toUpperCase();
  const box = el("div", { class: item.image ? "picture" : "picture bare" }, el("span", { "aria-hidden": "true" }, initials || "?"), ...more);
  if (item.image) {
    const image = el("img", { alt: "", loading: "lazy", decoding: "async", onerror: (event) => event.target.remove() });
    box.append(image);
    showPicture(image, item.image);
  }
  return box;
}

function reason(one) {
  const strength = one.weight === null || one.relation === "popular" ? null
    : one.weight.toFixed(one.relation === "bought_together" && Number.isInteger(one.weight) ? 0 : 2);
  const gate = Number.isFinite(one.gate) ? `, attention × ${one.gate.toFixed(2)}` : "";
  return el("li", { class: colour(one.relation) }, one.text, strength && el("span", { class: "soft" }, ` ${strength}${gate}`));
}

/** Return which relations speak for an item, as one bar and in words. */
function shares(item) {
  const total = new Map();
  for (const one of item.shares || []) total.set(family(one.relation), (total.get(family(one.relation)) || 0) + one.share);
  const told = [...total].map(([relation, share]) => ({ relation, share })).filter((one) => one.share >= 0.005).sort((a, b) => b.share - a.share);
  if (!told.length) return null;
  const bar = el("div", { class: "bar", "aria-hidden": "true" }, told.map((one) => {
    const piece = el("i", { class: colour(one.relation) });
    piece.style.flexGrow = one.share;
    return piece;
  }));
  const shown = told.slice(0, 4);
  return el("div", { class: "shares" }, bar, el("ul", { "aria-label": "What speaks for it" },
    shown.map((one) => el("li", { class: colour(one.relation) }, `${relationName(one.relation)} ${percent(one.share)}`))));
}

const SOURCES = { taste: "taste that training learned", vector: "a vector of the request", base: "an average candidate", popularity: "how many have it" };

function partName(part) {
  if (part.item) return `${part.source === "negative" ? "away from " : ""}${part.title || part.item}`;
  if (part.source !== "feature") return SOURCES[part.source] || relationName(part.relation);
  const [, kind] = part.relation.match(/_(sum|max|two|rank|\d+)$/) || [];
  return relationName(family(part.relation)) + (kind ? `, ${KINDS[kind] || `nearest ${kind}`}` : "");
}

/** Return what adds up to the score, largest first, as numbers and bars around a middle. */
function contributions(item) {
  const parts = item.parts || [];
  if (!parts.length) return null;
  const most = Math.max(...parts.map((part) => Math.abs(part.value)), 1e-9);
  const sorted = [...parts].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const rest = sorted.slice(8).reduce((sum, part) => sum + part.value, 0);
  const line = (name, detail, value) => {
    const piece = el("i", { class: value < 0 ? "minus" : "plus" });
    piece.style.width = `${Math.min(50, 50 * Math.abs(value) / most)}%`;
    return el("li", {}, el("span", {}, name, detail && el("span", { class: "soft" }, ` ${detail}`)),
      el("span", { class: "value" }, `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`), el("span", { class: "scale", "aria-hidden": "true" }, piece));
  };
  return el("details", { class: "parts" }, el("summary", {}, `What adds up to ${item.score.toFixed(3)}`), el("ul", {},
    sorted.slice(0, 8).map((part) => line(partName(part), part.item ? relationName(part.relation) : null, part.value)),
    sorted.length > 8 && line(`${sorted.length - 8} smaller ones`, null, rest)), content(item));
}

/** Return how much of an item's content each modality brings, in words. */
function content(item) {
  const told = (item.content || []).map((one) => `${relationName(one.modality)} ${percent(one.share)}`);
  return told.length > 0 && el("p", { class: "soft" }, `Its content enters as ${told.join(", ")}`);
}

/** Return thumbs that tell the service what a user thinks of an item. */
function thumbs(item, feedback) {
  const buttons = [];
  const thumb = (type, words) => {
    const button = el("button", { type: "button", class: `round ${type}`, "aria-pressed": "false", "aria-label": `${words} ${nameOf(item)}`, title: words, onclick: async () => {
      const event = { user: feedback.user, item: item.id, type, recommendation_id: feedback.list };
      if (crypto.randomUUID) event.id = crypto.randomUUID();
      try {
        await ask("/v1/feedback", { events: [event] });
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        feedback.onGiven();
      } catch (error) { announce(error.message); feedback.onFailed(error); }
    } }, icon(THUMB));
    buttons.push(button);
    return button;
  };
  return [thumb("like", "Like"), thumb("dislike", "Dislike")];
}

/** Return a button that picks an item, or puts it back. */
export function picker(item) {
  const button = el("button", { type: "button", class: "pick", "aria-pressed": String(basket.has(item.id)), "aria-label": `Pick ${nameOf(item)}`, onclick: () => {
    basket.toggle(item);
    button.setAttribute("aria-pressed", String(basket.has(item.id)));
    button.textContent = basket.has(item.id) ? "Picked" : "Pick";
  } }, basket.has(item.id) ? "Picked" : "Pick");
  return button;
}

/** Return an item in a grid; with `feedback` it has thumbs. */
export function card(item, { feedback = null, mark = null } = {}) {
  return el("li", { class: "card" },
    el("a", { href: `#/item/${path(item.id)}` }, picture(item, item.rank && el("span", { class: "rank" }, `${item.rank}`)), el("div", { class: "title" }, nameOf(item))),
    el("div", { class: "meta" }, item.score !== null && item.score !== undefined && el("span", {}, `score ${item.score.toFixed(3)}`),
      price(item.price) && el("span", {}, price(item.price)), item.tier !== "hot" && chip(item.tier), mark && el("span", { class: "chip" }, mark)),
    shares(item), (item.reasons || []).length > 0 && el("ul", { class: "reasons" }, item.reasons.map(reason)), contributions(item),
    el("div", { class: "does" }, feedback && thumbs(item, feedback), picker(item)));
}

/** Return an item in a narrow list. */
export function row(item) {
  return el("li", {}, el("a", { href: `#/item/${path(item.id)}` }, picture(item),
    el("span", {}, el("span", { class: "name" }, nameOf(item)), price(item.price) && el("span", { class: "meta" }, price(item.price)))));
}

export const cards = (items, options) => el("ul", { class: "cards" }, items.map((item) => card(item, options)));
