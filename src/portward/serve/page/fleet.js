// The hosts of the fleet, as their agents published them: each with the age of its word. Listeners are asked for when somebody searches.

import { ask } from "./ask.js";
import { button, get, make, replace, table } from "./dom.js";

const MOST_HOSTS = 100, MOST_ROWS = 300;
const EVERY = 10000; // milliseconds
const STATES = { live: "good", gone: "warning", unreachable: "error" };
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function age(seconds) {
  if (seconds === null) return "";
  const [unit, name] = UNITS.find(([length]) => seconds >= length) ?? UNITS.at(-1);
  return `${Math.floor(seconds / unit)} ${name}`;
}

const failed = (error) => make("p", { className: "error" }, error.message);

export class Fleet {
  constructor(holder) {
    this.holder = holder;
    get("fleet-filter").addEventListener("submit", (event) => { event.preventDefault(); this.search(get("fleet-search").value.trim()); });
    get("fleet").hidden = false;
    this.hosts();
    setInterval(() => { if (!document.hidden) this.hosts(); }, EVERY);
  }

  async hosts() {
    try {
      const { hosts } = await ask("ls", { fleet: 1, most: 0 });
      const live = hosts.filter((host) => host.state === "live");
      const order = [...hosts.filter((host) => host.state !== "live"), ...live];
      get("fleet-title").textContent = `Fleet (${live.length} of ${hosts.length} hosts live)`;
      const more = order.length > MOST_HOSTS ? make("p", { className: "hint" }, `and ${order.length - MOST_HOSTS} more`) : null;
      replace(get("fleet-hosts"), table(["Host", "State", "Last change", "Listeners", "Problem"], order.slice(0, MOST_HOSTS).map((host) => this.row(host))), ...(more ? [more] : []));
    } catch (error) { replace(get("fleet-hosts"), failed(error)); }
  }

  row(host) {
    const name = host.state === "live" ? button(host.name, () => this.search("", host), { className: "link", "aria-label": `Who listens on ${host.name}` }) : host.name;
    const changed = host.age === null ? "" : `${age(host.age)} ago`;
    return [name, make("td", { className: STATES[host.state] ?? "" }, host.state), changed, String(host.listeners), host.problem ?? ""];
  }

  async search(words, only = null) {
    const found = get("fleet-found");
    if (!words && !only) { found.replaceChildren(); return; }
    found.replaceChildren(make("p", {}, "asking…"));
    try {
      const answer = await ask("ls", { fleet: 1, query: words ? words.split(/\s+/) : [] });
      const names = new Map(answer.hosts.map((host) => [host.host, host.name]));
      const rows = answer.listeners.filter((row) => !only || row.host === only.host);
      const what = only ? `on ${only.name}` : `that match ${words}`;
      if (!rows.length) { found.replaceChildren(make("p", {}, `Nobody listens ${only ? what : `on anything that matches ${words}`}.`)); return; }
      const some = rows.slice(0, MOST_ROWS).map((row) => [names.get(row.host) ?? row.host, String(row.port), row.address, this.holder(row), row.project ?? "", row.service ?? ""]);
      const first = rows.length > MOST_ROWS ? `, the first ${MOST_ROWS} of them` : "";
      found.replaceChildren(make("p", {}, `${rows.length} listener${rows.length === 1 ? "" : "s"} ${what}${first}`), table(["Host", "Port", "Address", "Held by", "Project", "Service"], some));
    } catch (error) { found.replaceChildren(failed(error)); }
  }
}
