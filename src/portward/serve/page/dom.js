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

let silence = 0;
export function say(text, action = null) {
  clearTimeout(silence);
  get("said").replaceChildren(make("div", {}, text, action));
  silence = setTimeout(() => get("said").replaceChildren(), action ? 20000 : 6000);
}
