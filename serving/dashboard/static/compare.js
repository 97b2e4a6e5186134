// The lists of two bundles side by side, where the service has a second one.

import { ask } from "./api.js";
import { cards } from "./cards.js";
import { announce, count, el, panel } from "./dom.js";

const K = 12;

/** Return the view of a user's lists from every bundle in service. */
export async function compare(key) {
  const { answers } = await ask("/v1/admin/compare", { user: key, k: K, explain: "full" });
  const shown = answers.map((one) => new Set(one.answer.items.map((item) => item.id)));
  const both = [...shown[0]].filter((id) => shown.every((ids) => ids.has(id))).length;
  announce(`${count(both, "item")} in common`);
  const column = ({ role, answer }, at) => panel(role, `bundle ${answer.bundle.fingerprint.slice(0, 8)}`,
    el("ul", { class: "cards narrow" }, cardsOf(answer, shown.filter((_, other) => other !== at))));
  return [
    el("div", { class: "head" }, el("h1", { tabindex: "-1" }, `User ${key}, bundle by bundle`), el("span", { class: "soft" }, `${both} of ${K} in common`)),
    el("div", { class: "sides" }, answers.map(column)),
  ];
}

function cardsOf(answer, others) {
  const list = answer.items.map((item) => ({ item, alone: !others.some((ids) => ids.has(item.id)) }));
  return list.flatMap(({ item, alone }) => [...cards([item], { mark: alone ? "here alone" : null }).children]);
}
