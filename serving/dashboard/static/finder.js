// The field that finds a user or an item while one types.

import { ask } from "./api.js";
import { $, announce, el, nameOf, path } from "./dom.js";

const PAUSE = 120;
let matches = [], picked = -1, typed = 0, pause;

function close() {
  matches = []; picked = -1; typed++;
  $("found").hidden = true;
  $("search").setAttribute("aria-expanded", "false");
  $("search").removeAttribute("aria-activedescendant");
}

function pick(at) {
  picked = (at + matches.length) % matches.length;
  [...$("found").children].forEach((node, i) => node.setAttribute("aria-selected", String(i === picked)));
  $("search").setAttribute("aria-activedescendant", `match-${picked}`);
  $("found").children[picked].scrollIntoView({ block: "nearest" });
}

function go(hash) { close(); $("search").value = ""; location.hash = hash; }

async function find() {
  const text = $("search").value.trim(), mine = ++typed;
  if (!text) return close();
  const [users, items] = await Promise.all([ask(`/v1/users?limit=5&query=${path(text)}`), ask(`/v1/items?limit=8&query=${path(text)}`)]);
  if (mine !== typed) return;
  matches = [...users.users.map((user) => ({ kind: "user", text: user.id, hash: `#/user/${path(user.id)}` })),
    ...items.items.map((item) => ({ kind: "item", text: nameOf(item), hash: `#/item/${path(item.id)}` }))];
  announce(`${matches.length} found`);
  if (!matches.length) matches = [{ kind: "user", text: `${text} (not in the data)`, hash: `#/user/${path(text)}` }];
  $("found").replaceChildren(...matches.map((match, at) => el("li", { role: "option", id: `match-${at}`, "aria-selected": "false", onmousedown: (event) => { event.preventDefault(); go(match.hash); } },
    el("span", { class: "kind" }, match.kind), match.text)));
  picked = -1;
  $("found").hidden = false;
  $("search").setAttribute("aria-expanded", "true");
}

/** Listen to the field. */
export function listen() {
  $("search").addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(() => find().catch(close), PAUSE); });
  $("search").addEventListener("blur", close);
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (!matches.length) return;
    if (event.key === "ArrowDown") { event.preventDefault(); pick(picked + 1); }
    if (event.key === "ArrowUp") { event.preventDefault(); pick(picked < 0 ? -1 : picked - 1); }
    if (event.key === "Enter") go(matches[Math.max(0, picked)].hash);
  });
}
