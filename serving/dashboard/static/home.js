// Where a visit begins: what there is, users to pick, and what most people took.

import { ask } from "./api.js";
import { cards } from "./cards.js";
import { count, el, number, panel, path } from "./dom.js";

/** Return the view. */
export async function home() {
  const [bundle, users, items] = await Promise.all([ask("/v1/bundle"), ask("/v1/users?limit=24"), ask("/v1/items?limit=12")]);
  const tile = (value, what) => el("div", { class: "panel tile" }, el("b", {}, value), el("span", { class: "soft" }, what));
  const recall = bundle.audit.recall;
  return [
    el("h1", { tabindex: "-1" }, "What would they like next?"),
    el("p", { class: "soft lead" }, "Open a user to see what they have beside what is recommended, or pick a few items for someone who is not known."),
    el("div", { class: "tiles" }, tile(number(bundle.users), "users"), tile(number(bundle.items), "items"), tile(number(bundle.interactions), "interactions"),
      tile(`${Math.round(100 * bundle.hot_items / Math.max(1, bundle.items))} %`, "of items trained"),
      typeof recall === "number" && tile(recall.toFixed(3), "recall of the index")),
    el("div", { class: "stack" },
      panel("Users", `the first ${users.users.length} of ${number(users.total)}`,
        el("ul", { class: "pills" }, users.users.map((user) => el("li", {}, el("a", { href: `#/user/${path(user.id)}`, title: count(user.interactions, "item") }, user.id))))),
      panel("Most taken items", null, cards(items.items))),
  ];
}
