// What the service is asked. The key stays in this module's memory: a reload forgets it.

let key = "";
let document_ = null;
const listeners = new Set();

/** Be told of every answer: how long it took and whether it came. */
export const onAnswer = (listener) => listeners.add(listener);
const told = (milliseconds, status) => listeners.forEach((listener) => listener(milliseconds, status));

/** A refusal of the service, in its own words. */
export class Refused extends Error {
  constructor(status, problem) {
    const faults = (problem.errors || []).slice(1).map((fault) => `; ${fault.where}: ${fault.what}`).join("");
    super((problem.detail || problem.title || `the service answered ${status}`) + faults);
    this.status = status;
  }
}

export const useKey = (given) => { key = given.trim(); document_ = null; };
export const hasKey = () => key !== "";

async function fetched(url, options = {}) {
  const headers = key ? { ...options.headers, authorization: `Bearer ${key}` } : options.headers;
  const started = performance.now();
  let answer;
  try {
    answer = await fetch(url, { ...options, headers });
  } catch {
    told(null, 0);
    throw new Refused(0, { detail: "The service does not answer. Is it running?" });
  }
  told(performance.now() - started, answer.status);
  return answer;
}

/** Return the JSON that a path answers with; a body makes it a POST. */
export async function ask(url, body) {
  const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const answer = await fetched(url, sent);
  let read = {};
  try { read = await answer.json(); } catch { /* what is no JSON is told by its status */ }
  if (!answer.ok) throw new Refused(answer.status, read);
  return read;
}

/** Return the text that a path answers with. */
export async function text(url) {
  const answer = await fetched(url);
  if (!answer.ok) throw new Refused(answer.status, { title: answer.statusText });
  return answer.text();
}

/** Return whether the service has a route: some can be switched off. */
export async function can(method, route) {
  document_ ??= ask("/openapi.json").catch(() => ({ paths: {} }));
  return method.toLowerCase() in ((await document_).paths[route] || {});
}

/** Set where an image is read from; with a key it is fetched, since images send none. */
export async function showPicture(image, url) {
  if (!key || !url.startsWith("/")) { image.src = url; return; }
  try {
    const answer = await fetched(url);
    if (!answer.ok) throw new Refused(answer.status, {});
    image.src = URL.createObjectURL(await answer.blob());
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  } catch { image.remove(); }
}
