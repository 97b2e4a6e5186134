// One item, and what is like it: to the model, by text, by picture, or taken together with it.

import { ask } from "./api.js";
import { cards, picker, picture } from "./cards.js";
import { announce, chip, count, el, failure, nameOf, panel, path, price } from "./dom.js";

const BY = { model: "Model", bought_together: "Taken together", text: "Text", image: "Picture" };

/** Return the view. */
export async function item(key) {
  const it = await ask(`/v1/items/${path(key)}`);
  document.title = `${nameOf(it)} · PlotPointe`;
  const list = el("div", { id: "alike", role: "tabpanel", tabindex: "0" });
  const tabs = it.similar_by.map((by) => el("button", {
    type: "button", role: "tab", id: `by-${by}`, "data-by": by, "aria-controls": "alike", onclick: () => show(by), onkeydown: (event) => step(event, by),
  }, BY[by] || by));
  function step(event, by) {
    const at = it.similar_by.indexOf(by), last = tabs.length - 1;
    const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    tabs[next].focus();
    tabs[next].click();
  }
  let turn = 0;
  async function show(by) {
    const mine = ++turn;
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab.dataset.by === by));
      tab.tabIndex = tab.dataset.by === by ? 0 : -1;
    }
    list.setAttribute("aria-labelledby", `by-${by}`);
    let shown;
    try {
      const alike = await ask(`/v1/items/${path(key)}/similar?k=12&by=${path(by)}`);
      shown = alike.items.length ? cards(alike.items.map((one) => ({ ...one, reasons: [] }))) : el("p", { class: "soft pad" }, alike.shortfall_reason);
      announce(`${count(alike.items.length, "similar item")} by ${(BY[by] || by).toLowerCase()}`);
    } catch (error) { shown = failure(error); }
    if (mine === turn) list.replaceChildren(shown);
  }
  await show(it.similar_by[0]);
  const facts = [it.brand, price(it.price), count(it.users, "user"), `id ${it.id}`].filter(Boolean);
  return [
    el("section", { class: "panel hero" }, picture(it), el("div", {},
      el("div", { class: "head" }, el("h1", { tabindex: "-1" }, nameOf(it)), chip(it.tier)),
      el("div", { class: "meta" }, facts.map((text) => el("span", {}, text))),
      it.categories.length > 0 && el("p", { class: "soft" }, it.categories.join(" › ")),
      it.description && el("p", {}, it.description.length > 700 ? `${it.description.slice(0, 700)}…` : it.description),
      el("p", { class: "does" }, el("a", { class: "button go", href: `#/like/${path(key)}` }, "What would someone who has this like?"), picker(it)))),
    el("section", { class: "panel" }, el("div", { class: "top" }, el("h2", {}, "Similar by"), el("div", { class: "tabs", role: "tablist", "aria-label": "Similar by" }, tabs)), list),
  ];
}
