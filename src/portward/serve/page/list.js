// The listeners as a table of which only what can be seen is in the document: there may be thousands.

import { arrange, button, get, make } from "./dom.js";
import { KINDS } from "./map.js";

const HEIGHT = 31; // pixels of a row, its line included
const MORE = 10; // rows above and below what can be seen

export class List {
  constructor(choose) {
    this.choose = choose;
    this.rows = [];
    this.shown = [];
    this.started = new Set();
    this.made = new WeakMap();
    this.pane = get("rows");
    this.pane.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.pane);
    this.pane.addEventListener("keydown", (event) => this.key(event));
    for (const id of ["search", "whose", "reach", "udp"]) get(id).addEventListener("input", () => this.filter());
    get("filter").addEventListener("submit", (event) => { event.preventDefault(); this.focus(0); });
    get("search").addEventListener("keydown", (event) => { if (event.key === "ArrowDown") { event.preventDefault(); this.focus(0); } });
  }

  show(rows, started = []) {
    this.rows = rows;
    for (const key of started) { this.started.add(key); setTimeout(() => { this.started.delete(key); this.draw(); }, 3000); }
    this.filter();
  }

  filter() {
    const words = get("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const whose = get("whose").value, reach = get("reach").value, udp = get("udp").checked;
    this.shown = this.rows.filter((row) =>
      (udp || row.transport === "tcp") && (!whose || row.kind === whose) && (!reach || row.exposed === (reach === "exposed"))
      && words.every((word) => (/^\d+$/.test(word) ? String(row.port).startsWith(word) : row.text.includes(word))));
    get("count").textContent = this.shown.length === this.rows.length ? `(${this.rows.length})` : `(${this.shown.length} of ${this.rows.length})`;
    const empty = get("empty");
    empty.hidden = this.shown.length > 0;
    empty.textContent = this.rows.length ? "Nothing that listens matches. Take a word or a filter away." : "Nothing listens here.";
    this.draw();
  }

  draw() {
    const body = get("list");
    const first = Math.max(0, Math.floor(this.pane.scrollTop / HEIGHT) - MORE);
    const end = Math.min(this.shown.length, first + Math.ceil(this.pane.clientHeight / HEIGHT) + 2 * MORE);
    const rows = this.shown.slice(first, end).map((row, index) => this.row(row, first + index));
    body.parentElement.setAttribute("aria-rowcount", this.shown.length + 1);
    const key = body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    arrange(body, [this.blank(first), ...rows, this.blank(this.shown.length - end)]);
    if (key && !body.contains(document.activeElement)) body.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }

  blank(count) {
    const row = make("tr", { "aria-hidden": "true" });
    row.style.height = `${Math.max(0, count) * HEIGHT}px`;
    if (count <= 0) row.hidden = true;
    return row;
  }

  // The same element for the same row, so that whoever is on it, or is just clicking it, stays there while others come and go.
  row(row, index) {
    if (!this.made.has(row)) this.made.set(row, this.make(row));
    const element = this.made.get(row);
    element.className = this.started.has(row.key) ? "started" : "";
    element.setAttribute("aria-rowindex", index + 2);
    element.querySelector("button").dataset.index = index;
    return element;
  }

  make(row) {
    const name = row.transport === "udp" ? `${row.port}/udp` : String(row.port);
    const open = button(name, () => this.choose(row.port, row.transport), { className: "link", "aria-label": `${name}, ${row.holder}, ${KINDS[row.kind]}: details` });
    open.dataset.key = row.key;
    return make("tr", {},
      make("td", { className: row.kind, title: KINDS[row.kind] }, open), make("td", {}, row.address), make("td", { title: row.command }, row.holder),
      make("td", {}, row.project ?? ""), make("td", {}, row.service ?? ""));
  }

  key(event) {
    const index = Number(document.activeElement?.dataset?.index ?? NaN);
    if (Number.isNaN(index)) return;
    const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: this.shown.length - 1, PageDown: index + 15, PageUp: index - 15 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to < 0) get("search").focus(); else this.focus(to);
  }

  focus(index) {
    if (!this.shown.length) return;
    const to = Math.max(0, Math.min(this.shown.length - 1, index));
    const top = to * HEIGHT, pane = this.pane;
    if (top < pane.scrollTop) pane.scrollTop = top;
    else if (top + 2 * HEIGHT > pane.scrollTop + pane.clientHeight) pane.scrollTop = top + 2 * HEIGHT - pane.clientHeight;
    this.draw();
    get("list").querySelector(`[data-index="${to}"]`)?.focus({ preventScroll: true });
  }
}
