// Elements without markup: what comes from outside becomes text, and nothing else.

export const get = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function table(head, rows) {
  const cells = (row) => make("tr", {}, ...row.map((cell) => (cell instanceof HTMLElement && cell.tagName === "TD" ? cell : make("td", {}, cell ?? ""))));
  return make("div", { className: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...rows.map(cells))));
}

export const button = (text, onclick, properties = {}) => make("button", { type: "button", onclick, ...properties }, text);

export function copying(command) {
  return make("span", {}, make("code", {}, command), " ", button("Copy", async () => {
    try { await navigator.clipboard.writeText(command); say(`Copied: ${command}`); } catch { say("The browser does not let this page copy."); }
  }, { "aria-label": `Copy the command ${command}` }));
}

// Makes these an element's children, which are in the order of before: who is there already is not touched, so that no click on it is lost.
export function arrange(element, children) {
  const kept = new Set(children);
  for (const child of [...element.children]) if (!kept.has(child)) child.remove();
  let next = element.firstElementChild;
  for (const child of children) {
    if (child === next) next = next.nextElementSibling;
    else element.insertBefore(child, next);
  }
}

// Puts others in the place of an element's children, unless they say the same; who was on a button stays on it, where it is still there.
export function replace(element, ...children) {
  const name = (each) => each.getAttribute("aria-label") ?? each.textContent;
  const next = element.cloneNode(false);
  next.append(...children);
  const details = next.querySelector("details");
  if (details && element.querySelector("details")?.open) details.open = true;
  if (next.isEqualNode(element)) return;
  const held = element.contains(document.activeElement) ? name(document.activeElement) : null;
  element.replaceChildren(...next.childNodes);
  if (held !== null) [...element.querySelectorAll("button, summary")].find((each) => name(each) === held)?.focus({ preventScroll: true });
}

// Does a job, and says so while that takes longer than one waits without a word.
export async function patient(job) {
  const slow = setTimeout(() => say("Working…", null, Infinity), 500);
  try { return await job(); } finally {
    clearTimeout(slow);
    if (get("said").textContent === "Working…") get("said").replaceChildren();
  }
}

let silence = 0;
export function say(text, action = null, milliseconds = action ? 20000 : 6000) {
  clearTimeout(silence);
  get("said").replaceChildren(make("div", {}, text, action));
  if (milliseconds < Infinity) silence = setTimeout(() => get("said").replaceChildren(), milliseconds);
}
