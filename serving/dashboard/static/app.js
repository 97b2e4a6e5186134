// The page: an address after # chooses a view, and the view asks the service.

import { ask, hasKey, useKey } from "./api.js";
import { compare } from "./compare.js";
import { $, el, failure } from "./dom.js";
import { listen } from "./finder.js";
import { health, watch } from "./health.js";
import { home } from "./home.js";
import { item } from "./item.js";
import { like, user } from "./listing.js";
import { search, searches } from "./search.js";

const VIEWS = {
  user: (rest, query) => user(decodeURIComponent(rest), query), item: (rest) => item(decodeURIComponent(rest)), like,
  search, health, compare: (rest) => compare(decodeURIComponent(rest)),
};
let turn = 0;

async function show(focus) {
  const mine = ++turn;
  const [, name, rest = "", query = ""] = location.hash.match(/^#\/(\w*)\/?([^?]*)\??(.*)$/) || [null, ""];
  document.title = "PlotPointe";
  $("main").setAttribute("aria-busy", "true");
  let shown;
  try {
    shown = await (VIEWS[name] || home)(rest, query);
  } catch (error) {
    shown = error.status === 401 ? [keyForm(error)] : [failure(error)];
  }
  if (mine !== turn) return;
  $("main").removeAttribute("aria-busy");
  $("main").replaceChildren(...shown.filter(Boolean));
  for (const link of document.querySelectorAll(".links a")) link.toggleAttribute("aria-current", link.hash === `#/${name}`);
  if (!focus) return;
  scrollTo(0, 0);
  ($("main").querySelector("h1, input") || $("main")).focus({ preventScroll: true });
}

/** Return a field for the key that the service asks for. */
function keyForm(error) {
  const field = el("input", { type: "password", name: "key", required: true, autocomplete: "off", spellcheck: "false" });
  return el("form", { class: "panel pad key", onsubmit: (event) => { event.preventDefault(); useKey(field.value); begin(); show(true); } },
    el("h1", { tabindex: "-1" }, "This service asks for a key"), hasKey() && failure(error),
    el("label", { class: "wide" }, el("span", {}, "API key"), field), el("p", { class: "soft" }, "It stays in this page's memory and is gone when the page is closed."),
    el("button", { class: "go" }, "Continue"));
}

/** Fill in what stands around the views. */
function begin() {
  searches().then((found) => { $("to-search").hidden = !found; });
  ask("/v1/bundle").then((bundle) => {
    const made = new Date(bundle.created_at);
    $("footer").textContent = `Bundle ${bundle.fingerprint} · model ${bundle.model}${Number.isNaN(made.getTime()) ? "" : ` · made ${made.toLocaleString()}`}`;
  }).catch(() => {});
}

addEventListener("hashchange", () => show(true));
listen();
watch();
begin();
show(false);
