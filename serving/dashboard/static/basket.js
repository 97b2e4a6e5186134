// The items that a person picked, for someone who has nothing else.

import { announce, el, $, count, nameOf, path } from "./dom.js";

const picked = new Map();

export const has = (id) => picked.has(id);

/** Pick an item, or put it back. */
export function toggle(item) {
  if (!picked.delete(item.id)) picked.set(item.id, nameOf(item));
  announce(`${count(picked.size, "item")} picked`);
  draw();
}

/** Draw the bar at the foot of the page; it is gone while nothing is picked. */
function draw() {
  const keys = [...picked.keys()].map(path).join(",");
  $("basket").hidden = picked.size === 0;
  $("basket").replaceChildren(
    el("span", { title: [...picked.values()].join(", ") }, el("b", {}, `${picked.size}`), " picked"),
    el("a", { class: "button go", href: `#/like/${keys}` }, "What would they like?"),
    el("button", { type: "button", onclick: () => { picked.clear(); draw(); dispatchEvent(new HashChangeEvent("hashchange")); $("main").focus(); } }, "Clear"));
}
