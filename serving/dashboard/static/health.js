// How the service does: the mark in the header, and a page of latencies from its own metrics.

import { ask, onAnswer, text } from "./api.js";
import { $, el, failure, number, panel } from "./dom.js";

const EVERY = 10_000;

/** Keep the mark in the header up to date. */
export function watch() {
  const recent = [];
  let state = "checking";
  const draw = () => {
    const middle = [...recent].sort((a, b) => a - b)[Math.floor(recent.length / 2)];
    $("health").className = `health ${state}`;
    $("health").textContent = state === "ready" && middle !== undefined ? `ready · ${Math.max(1, Math.round(middle))} ms` : state;
  };
  onAnswer((milliseconds, status) => {
    if (milliseconds === null) state = "offline";
    else { recent.push(milliseconds); recent.splice(0, recent.length - 15); if (state === "offline" && status < 500) look(); }
    draw();
  });
  async function look() {
    try { await ask("/health/ready"); state = "ready"; } catch (error) { state = error.status ? "not ready" : "offline"; }
    draw();
  }
  setInterval(() => { if (!document.hidden) look(); }, EVERY);
  look();
}

/** Return the samples of a text in Prometheus's format. */
export function samples(text) {
  const found = [];
  for (const [, name, labels = "", value] of text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)) {
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, word]) => [key, word]);
    found.push({ name, labels: Object.fromEntries(pairs), value: Number(value.replace("+Inf", "Infinity")) });
  }
  return found;
}

/** Return the seconds below which a share of a histogram lies, straight lines within buckets. */
export function quantile(buckets, share) {
  const sorted = [...buckets].sort((a, b) => a.below - b.below);
  const all = sorted.at(-1)?.count || 0;
  let from = 0, before = 0;
  for (const { below, count } of sorted) {
    if (count >= share * all && count > before) return below === Infinity ? from : from + (below - from) * (share * all - before) / (count - before);
    from = below; before = count;
  }
  return NaN;
}

/** Return requests, errors and latencies by route. */
export function byRoute(found) {
  const routes = new Map();
  const of = ({ method, route }) => {
    const name = `${method} ${route}`;
    if (!routes.has(name)) routes.set(name, { name, requests: 0, failed: 0, buckets: [] });
    return routes.get(name);
  };
  for (const { name, labels, value } of found) {
    if (name === "plotpointe_http_requests_total") {
      of(labels).requests += value;
      if (labels.status >= "500") of(labels).failed += value;
    }
    if (name === "plotpointe_http_request_seconds_bucket") of(labels).buckets.push({ below: Number(labels.le.replace("+Inf", "Infinity")), count: value });
  }
  return [...routes.values()].filter((one) => one.requests).sort((a, b) => b.requests - a.requests);
}

const milliseconds = (seconds) => (Number.isNaN(seconds) ? "–" : `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`);

/** Return the view; it renews itself as long as it is shown. */
export async function health() {
  const tiles = el("div", { class: "tiles" }), table = el("div", { class: "wide-table", tabindex: "0", role: "region", "aria-label": "Requests by route" });
  const place = el("div", {}, tiles, panel("Requests by route", "since the service started", table));
  async function draw() {
    const [ready, found] = await Promise.all([ask("/health/ready").catch((error) => error), text("/metrics").then(samples)]);
    const routes = byRoute(found), gauge = (name) => found.find((one) => one.name === name)?.value;
    const all = routes.reduce((sum, one) => sum + one.requests, 0), failed = routes.reduce((sum, one) => sum + one.failed, 0);
    const lists = routes.find((one) => one.name === "POST /v1/recommend");
    const tile = (value, what) => el("div", { class: "panel tile" }, el("b", {}, value), el("span", { class: "soft" }, what));
    const recall = gauge("plotpointe_index_recall"), size = gauge("plotpointe_process_resident_memory_bytes");
    tiles.replaceChildren(...[tile(ready.ready ? "ready" : "not ready", ready.ready ? `index asked for ${ready.canaries} lists` : ready.message),
      recall !== undefined && tile(recall.toFixed(3), "recall of the index"), tile(number(all), "requests"), tile(number(failed), "failed"),
      lists && tile(milliseconds(quantile(lists.buckets, 0.5)), "half of the lists within"), size && tile(`${Math.round(size / 1e6)} MB`, "memory")].filter(Boolean));
    table.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ["route", "requests", "failed", "p50", "p99"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, routes.map((one) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, one.name)), el("td", {}, number(one.requests)), el("td", {}, number(one.failed)),
        el("td", {}, milliseconds(quantile(one.buckets, 0.5))), el("td", {}, milliseconds(quantile(one.buckets, 0.99))))))));
  }
  await draw();
  const again = setInterval(() => {
    if (!place.isConnected) clearInterval(again);
    else if (!document.hidden) draw().catch((error) => tiles.replaceChildren(failure(error)));
  }, 5000);
  return [el("h1", { tabindex: "-1" }, "How the service does"), place];
}
