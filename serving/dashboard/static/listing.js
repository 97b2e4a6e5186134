// A list for somebody: what they have, what may be chosen, what is recommended and how it came about.

import { ask, can } from "./api.js";
import { cards, row } from "./cards.js";
import * as controls from "./controls.js";
import { announce, chip, count, el, failure, number, panel, path } from "./dom.js";

const HOW = {
  model: "the trained model", popular: "what is popular", fold_in: "the history alone", "model+fold_in": "the model and the history",
};
const STEPS = [["items", "in the catalogue"], ["allowed", "allowed"], ["excluded", "left out"], ["retrieved", "retrieved"], ["ranked", "ranked again"], ["diversified", "diversified"], ["shown", "shown"]];

/** Return the view of a user. */
export async function user(key, query) {
  const [known, feedback, compare] = await Promise.all([ask(`/v1/users/${path(key)}?limit=200`), can("POST", "/v1/feedback"), challenged()]);
  return view({
    title: `User ${key}`, about: known.known ? count(known.interactions, "item") : "not in the data", has: known.history, total: known.interactions,
    who: { user: key }, address: `#/user/${path(key)}`, query, feedback,
    link: compare && el("a", { class: "button", href: `#/compare/${path(key)}` }, "Compare bundles"),
  });
}

/** Return the view of someone new who has some items. */
export async function like(keys, query) {
  const history = keys.split(",").map(decodeURIComponent);
  const has = await Promise.all(history.map((key) => ask(`/v1/items/${path(key)}`)));
  return view({
    title: "Someone new", about: `who has ${count(has.length, "item")}`, has, total: has.length,
    who: { history }, address: `#/like/${keys}`, query, feedback: false,
  });
}

/** Return whether two bundles can be compared. */
export async function challenged() {
  if (!await can("POST", "/v1/admin/compare")) return false;
  return ((await ask("/v1/bundle")).arms || []).length > 1;
}

async function view({ title, about, has, total, who, address, query, feedback, link }) {
  const chosen = controls.read(query);
  const head = el("div", { class: "head" }, el("h1", { tabindex: "-1" }, title), el("span", { class: "soft" }, about), link);
  const results = el("div", { class: "results" }, el("p", { class: "soft pad" }, "Asking…"));
  const how = el("span", { class: "right soft" });
  const list = el("section", { class: "panel" }, el("div", { class: "top" }, el("h2", {}, "Recommended"), how),
    controls.form(chosen, (next) => { history.replaceState(null, "", address + controls.write(next)); show(next); }, has), results);
  let turn = 0;
  async function show(now) {
    const mine = ++turn;
    results.setAttribute("aria-busy", "true");
    const started = performance.now();
    let shown;
    try {
      const answer = await ask("/v1/recommend", { ...who, ...controls.request(now) });
      if (mine !== turn) return;
      how.textContent = `by ${HOW[answer.strategy]}, in ${Math.round(performance.now() - started)} ms`;
      head.querySelector(".chip")?.remove();
      head.querySelector("h1").after(chip(answer.user_tier));
      shown = listed(answer, feedback && who.user, () => show(now));
      announce(`${count(answer.items.length, "item")} recommended`);
    } catch (error) {
      if (mine !== turn) return;
      how.textContent = "";
      shown = [failure(error)];
    }
    results.replaceChildren(...shown.filter(Boolean));
    results.removeAttribute("aria-busy");
  }
  await show(chosen);
  return [head, el("div", { class: "columns" }, had(has, total), list)];
}

function had(items, total) {
  const wide = matchMedia("(min-width: 821px)").matches;
  return el("details", { class: "panel has", open: wide }, el("summary", { class: "top" }, el("h2", {}, "Has"),
    el("span", { class: "right soft" }, items.length < total ? `${items.length} of ${number(total)}` : `${total}`)),
    items.length ? el("ul", { class: "history" }, items.map(row)) : el("p", { class: "soft pad" }, "No items yet."));
}

function listed(answer, user, again) {
  const notes = el("div", {});
  const feedback = user && {
    user, list: answer.recommendation_id,
    onGiven: () => notes.replaceChildren(el("p", { class: "note calm" }, "Noted; the next list takes it into account. ", el("button", { type: "button", onclick: again }, "Show it"))),
    onFailed: (error) => notes.replaceChildren(failure(error)),
  };
  return [
    answer.strategy === "popular" && el("p", { class: "note" }, "Nothing is known of this user, so these are the most popular items."),
    answer.unknown_items.length > 0 && el("p", { class: "note" }, `Not in the catalogue: ${answer.unknown_items.join(", ")}`),
    notes, cards(answer.items, { feedback }),
    answer.shortfall_reason && el("p", { class: "soft pad" }, answer.shortfall_reason),
    answer.steps && el("ol", { class: "steps", "aria-label": "How the list came about" }, STEPS.filter(([name]) => answer.steps[name] > 0 || name === "shown")
      .map(([name, words]) => el("li", {}, el("b", {}, number(answer.steps[name])), ` ${words}`))),
  ];
}
