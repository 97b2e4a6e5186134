// Search by words or by a picture: the picture is made small here before it is sent.

import { ask, can } from "./api.js";
import { cards, relationName } from "./cards.js";
import { announce, count, el, failure, panel } from "./dom.js";

const SIDE = 640;

/** Return whether the service searches by content. */
export const searches = () => can("POST", "/v1/search");

/** Return the view. */
export async function search() {
  if (!await searches()) return [el("h1", { tabindex: "-1" }, "Search"), el("p", { class: "note" }, "This service does not search by content.")];
  const results = el("div", {});
  const preview = el("div", { class: "preview", hidden: true });
  let turn = 0;
  async function find(asked, words) {
    const mine = ++turn;
    results.setAttribute("aria-busy", "true");
    let shown;
    try {
      const found = await ask("/v1/search", { ...await asked(), k: 24 });
      shown = [panel(words, `by ${relationName(found.by)}`, cards(found.items.map((one) => ({ ...one, reasons: [] }))), found.shortfall_reason && el("p", { class: "soft pad" }, found.shortfall_reason))];
      announce(`${count(found.items.length, "item")} found`);
    } catch (error) { shown = [failure(error)]; }
    if (mine !== turn) return;
    results.replaceChildren(...shown);
    results.removeAttribute("aria-busy");
  }
  const words = el("input", { type: "search", name: "text", required: true, maxlength: 2000, autocomplete: "off", placeholder: "a lamp with owls on it" });
  const file = el("input", { type: "file", accept: "image/*", id: "upload", onchange: () => { if (file.files[0]) look(file.files[0]); } });
  function look(chosen) {
    const address = URL.createObjectURL(chosen);
    preview.hidden = false;
    preview.replaceChildren(el("img", { src: address, alt: `Your picture, ${chosen.name}`, onload: () => URL.revokeObjectURL(address), onerror: () => { preview.hidden = true; } }));
    find(async () => ({ image_base64: await small(chosen) }), `Like ${chosen.name}`);
  }
  const drop = el("label", { class: "drop", for: "upload",
    ondragover: (event) => { event.preventDefault(); drop.classList.add("over"); }, ondragleave: () => drop.classList.remove("over"),
    ondrop: (event) => { event.preventDefault(); drop.classList.remove("over"); if (event.dataTransfer.files[0]) look(event.dataTransfer.files[0]); } },
    el("span", {}, "Choose a picture, or drop one here"), file, preview);
  return [
    el("h1", { tabindex: "-1" }, "Search by words or by a picture"),
    el("div", { class: "searching" },
      el("form", { class: "panel pad", onsubmit: (event) => { event.preventDefault(); preview.hidden = true; find(async () => ({ text: words.value }), `Like “${words.value}”`); } },
        el("label", { class: "wide" }, el("span", {}, "What it is like"), words), el("button", { class: "go" }, "Search")),
      el("div", { class: "panel pad" }, drop)),
    results,
  ];
}

/** Return a picture in base64, its longer side at most 640 pixels: no encoder looks at more. */
async function small(file) {
  let read;
  try {
    read = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is not a picture that this browser can read.`);
  }
  const scale = Math.min(1, SIDE / Math.max(read.width, read.height));
  const canvas = el("canvas", { width: Math.max(1, Math.round(read.width * scale)), height: Math.max(1, Math.round(read.height * scale)) });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(read, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.9).split(",")[1];
}
