// The ports from 0 to 65535 as 256 rows of 256 cells, each in the colour and the shape of who has it.

import { get, make } from "./dom.js";

const SIDE = 256;
const CLOSEST = 64; // times as large as all of it
export const KINDS = { mine: "this project", other: "other projects", container: "containers", system: "system and the rest", leased: "leased, idle", reserved: "reserved" };
const ORDER = ["system", "container", "other", "mine"];

// The shape of a kind, around a point.
function mark(pen, kind, x, y, half, ratio) {
  pen.beginPath();
  if (kind === "leased") { pen.lineWidth = 2 * ratio; pen.strokeRect(x - half + ratio, y - half + ratio, 2 * half - 2 * ratio, 2 * half - 2 * ratio); return; }
  if (kind === "container") pen.arc(x, y, half, 0, 2 * Math.PI);
  else if (kind === "other") for (const [dx, dy] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) pen.lineTo(x + dx * half, y + dy * half);
  else if (kind === "system") for (const [dx, dy] of [[0, -1], [1, 1], [-1, 1]]) pen.lineTo(x + dx * half, y + dy * half);
  else pen.rect(x - half, y - half, 2 * half, 2 * half);
  pen.fill();
}

function hatching(pen, colours, size) {
  const tile = make("canvas", { width: size, height: size }), lines = tile.getContext("2d");
  lines.fillStyle = colours.reserved; lines.fillRect(0, 0, size, size);
  lines.strokeStyle = colours.line; lines.lineWidth = size / 5;
  for (const from of [-size, 0, size]) { lines.moveTo(from - 1, size + 1); lines.lineTo(from + size + 1, -1); }
  lines.stroke();
  return pen.createPattern(tile, "repeat");
}

export class PortMap {
  constructor(choose) {
    this.choose = choose;
    this.canvas = get("cells");
    this.box = get("map");
    this.kinds = new Map();
    this.names = new Map();
    this.reserved = [];
    this.zoom = 1; this.left = 0; this.top = 0; this.here = 0;
    new ResizeObserver(() => this.draw()).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.colours = null; this.draw(); });
    this.box.addEventListener("wheel", (event) => { event.preventDefault(); this.scale(event.deltaY < 0 ? 1.25 : 0.8, event); }, { passive: false });
    this.box.addEventListener("pointerdown", (event) => this.grab(event));
    this.box.addEventListener("pointermove", (event) => { if (!event.buttons) this.tell(this.at(event)); });
    this.box.addEventListener("keydown", (event) => this.key(event));
    get("map-in").addEventListener("click", () => this.scale(2));
    get("map-out").addEventListener("click", () => this.scale(0.5));
    get("map-all").addEventListener("click", () => this.scale(0));
  }

  show(rows, leases, reserved) {
    this.kinds.clear(); this.names.clear(); this.reserved = reserved;
    for (const lease of leases) if (lease.state === "idle") { this.kinds.set(lease.port, "leased"); this.names.set(lease.port, `leased to ${lease.service}, idle`); }
    for (const row of rows) {
      const known = this.kinds.get(row.port);
      if (!known || known === "leased" || ORDER.indexOf(row.kind) >= ORDER.indexOf(known)) { this.kinds.set(row.port, row.kind); this.names.set(row.port, row.holder); }
    }
    const counts = {};
    for (const kind of this.kinds.values()) counts[kind] = (counts[kind] ?? 0) + 1;
    get("legend").replaceChildren(...Object.entries(KINDS).map(([kind, name]) => make("li", {}, make("i", { className: kind }), kind === "reserved" ? name : `${name}: ${counts[kind] ?? 0}`)));
    this.ports = [...this.kinds.keys()].sort((one, two) => one - two);
    this.draw();
  }

  draw() {
    const ratio = devicePixelRatio || 1;
    if (!this.box.clientWidth || !this.box.clientHeight) return;
    this.canvas.width = Math.round(this.box.clientWidth * ratio); this.canvas.height = Math.round(this.box.clientHeight * ratio);
    const pen = this.canvas.getContext("2d");
    const colours = this.colours ??= Object.fromEntries([...Object.keys(KINDS), "ground", "text", "line", "dim"].map((name) => [name, this.colour(name)]));
    const [wide, high] = this.cell();
    pen.fillStyle = colours.ground; pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    pen.fillStyle = hatching(pen, colours, 6 * ratio);
    for (const [low, upper] of this.reserved) this.fill(pen, low, upper, wide, high);
    const near = wide > 34 * ratio;
    if (!near) this.rows(pen, high, ratio, colours);
    const size = near ? 0 : Math.max(wide, (this.kinds.size > 500 ? 4 : 8) * ratio);
    for (const [port, kind] of this.kinds) {
      const x = (port % SIDE - this.left) * wide, y = (Math.floor(port / SIDE) - this.top) * high;
      pen.fillStyle = pen.strokeStyle = colours[kind];
      if (near) pen.fillRect(x, y, wide, high); else mark(pen, kind, x + wide / 2, y + high / 2, size / 2, ratio);
    }
    if (near) this.numbers(pen, wide, high, ratio, colours);
    if (this.here) {
      const across = Math.max(wide, size), down = Math.max(high, size);
      const x = (this.here % SIDE - this.left + 0.5) * wide, y = (Math.floor(this.here / SIDE) - this.top + 0.5) * high;
      pen.strokeStyle = colours.text; pen.lineWidth = 2 * ratio;
      pen.strokeRect(x - across / 2 - ratio, y - down / 2 - ratio, across + 2 * ratio, down + 2 * ratio);
    }
  }

  colour(name) {
    this.probe ??= document.body.appendChild(make("span", { hidden: true }));
    this.probe.style.color = `var(--${name})`;
    return getComputedStyle(this.probe).color;
  }

  cell() { return [this.canvas.width / SIDE * this.zoom, this.canvas.height / SIDE * this.zoom]; }

  fill(pen, low, upper, wide, high) {
    for (let row = Math.floor(low / SIDE); row <= Math.floor(upper / SIDE); row++) {
      const from = Math.max(low, row * SIDE), to = Math.min(upper, row * SIDE + SIDE - 1);
      pen.fillRect((from % SIDE - this.left) * wide, (row - this.top) * high, (to - from + 1) * wide, Math.ceil(high));
    }
  }

  // The first port of some rows, so that one knows where one is.
  rows(pen, high, ratio, colours) {
    pen.font = `${11 * ratio}px system-ui`; pen.textAlign = "left"; pen.textBaseline = "top";
    const step = Math.max(1, 32 / 2 ** Math.round(Math.log2(this.zoom)));
    for (let row = Math.ceil(this.top / step) * step; row < this.top + SIDE / this.zoom; row += step) {
      const y = (row - this.top) * high;
      pen.fillStyle = colours.line; pen.fillRect(0, y, this.canvas.width, ratio);
      pen.fillStyle = colours.dim; pen.fillText(Math.max(1, row * SIDE + Math.floor(this.left)), 3 * ratio, y + 3 * ratio);
    }
  }

  // Each port, and who has it where there is room for the name.
  numbers(pen, wide, high, ratio, colours) {
    pen.font = `${11 * ratio}px system-ui`; pen.textAlign = "center"; pen.textBaseline = "middle";
    const named = wide > 60 * ratio;
    for (let row = Math.floor(this.top); row <= this.top + SIDE / this.zoom; row++)
      for (let column = Math.floor(this.left); column <= this.left + SIDE / this.zoom; column++) {
        if (row >= SIDE || column >= SIDE) continue;
        const port = row * SIDE + column, x = (column - this.left + 0.5) * wide, y = (row - this.top + 0.5) * high;
        const name = named ? this.names.get(port) : null;
        pen.fillStyle = this.kinds.has(port) ? colours.ground : colours.text;
        pen.fillText(port, x, name ? y - 7 * ratio : y);
        if (name) pen.fillText(name.length > 16 ? `${name.slice(0, 15)}…` : name, x, y + 8 * ratio, wide - 4 * ratio);
      }
  }

  at(event) {
    const box = this.box.getBoundingClientRect();
    const column = Math.floor(this.left + (event.clientX - box.left) / box.width * SIDE / this.zoom);
    const row = Math.floor(this.top + (event.clientY - box.top) / box.height * SIDE / this.zoom);
    const port = row * SIDE + column;
    if (this.kinds.has(port)) return port;
    const reach = Math.ceil(4 / this.zoom); // a cell may be smaller than a pointer
    for (const near of this.ports ?? []) if (Math.abs(near % SIDE - column) <= reach && Math.abs(Math.floor(near / SIDE) - row) <= reach) return near;
    return port;
  }

  grab(event) {
    const start = { x: event.clientX, y: event.clientY, left: this.left, top: this.top };
    let moved = false;
    const box = this.box.getBoundingClientRect();
    const move = (now) => {
      moved ||= Math.hypot(now.clientX - start.x, now.clientY - start.y) > 4;
      if (!moved) return;
      this.left = start.left - (now.clientX - start.x) / box.width * SIDE / this.zoom;
      this.top = start.top - (now.clientY - start.y) / box.height * SIDE / this.zoom;
      this.bound(); this.draw();
    };
    const over = new AbortController();
    const end = (now) => { over.abort(); if (!moved && now.type === "pointerup") this.pick(this.at(now)); };
    addEventListener("pointermove", move, { signal: over.signal });
    for (const type of ["pointerup", "pointercancel"]) addEventListener(type, end, { signal: over.signal });
  }

  // Nearer or farther: where the pointer is, else where the port that was chosen is. By 0: all of it.
  scale(factor, event = null) {
    const box = this.box.getBoundingClientRect(), before = this.zoom;
    this.zoom = Math.min(CLOSEST, Math.max(1, before * factor));
    const span = SIDE / this.zoom;
    if (event || !this.here) {
      const x = event ? (event.clientX - box.left) / box.width : 0.5, y = event ? (event.clientY - box.top) / box.height : 0.5;
      this.left += x * (SIDE / before - span); this.top += y * (SIDE / before - span);
    } else {
      this.left = this.here % SIDE + 0.5 - span / 2; this.top = Math.floor(this.here / SIDE) + 0.5 - span / 2;
    }
    this.box.classList.toggle("near", this.zoom > 1); // what is whole can be scrolled over by touch
    this.bound(); this.draw();
  }

  bound() {
    const most = SIDE - SIDE / this.zoom;
    this.left = Math.min(most, Math.max(0, this.left)); this.top = Math.min(most, Math.max(0, this.top));
  }

  key(event) {
    const ports = this.ports ?? [];
    const next = () => ports.find((port) => port > this.here) ?? ports[0];
    const last = () => ports.findLast((port) => port < this.here) ?? ports.at(-1);
    const below = () => ports.find((port) => port >= this.here + SIDE) ?? ports.at(-1);
    const above = () => ports.findLast((port) => port <= this.here - SIDE) ?? ports[0];
    const go = { ArrowRight: next, ArrowLeft: last, ArrowDown: below, ArrowUp: above, Home: () => ports[0], End: () => ports.at(-1) }[event.key];
    if (go && ports.length) this.visit(go());
    else if (event.key === "+" || event.key === "=") this.scale(1.5);
    else if (event.key === "-" || event.key === "−") this.scale(1 / 1.5);
    else if (event.key === "Enter" && this.here) this.choose(this.here);
    else return;
    event.preventDefault();
  }

  visit(port) {
    this.here = port;
    const column = port % SIDE, row = Math.floor(port / SIDE), span = SIDE / this.zoom;
    if (column < this.left || column >= this.left + span) this.left = column - span / 2;
    if (row < this.top || row >= this.top + span) this.top = row - span / 2;
    this.bound(); this.draw(); this.tell(port);
  }

  pick(port) { if (port > 0 && port < SIDE * SIDE) { this.visit(port); this.choose(port); } }

  tell(port) {
    if (port < 1 || port >= SIDE * SIDE) return;
    const range = this.reserved.find(([low, upper]) => low <= port && port <= upper);
    get("map-here").textContent = `${port}: ${this.names.get(port) ?? (range ? `nobody's; reserved: ${range[2]}` : "nobody's")}`;
  }
}
