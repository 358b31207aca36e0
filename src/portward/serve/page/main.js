// The page: what the feed tells, the project, and what can be done about it.

import { ask, follow } from "./ask.js";
import { act, move, review, stop } from "./dialogs.js";
import { button, copying, get, make, patient, replace, table } from "./dom.js";
import { Fleet } from "./fleet.js";
import { List } from "./list.js";
import { PortMap } from "./map.js";

const state = { rows: new Map(), leases: [], ports: new Set(), declared: [], about: { reserved: [], root: null, worktree: "" } };
const map = new PortMap((port) => detail(port));
const list = new List((port, transport) => detail(port, transport));

// Rows

function holder(row) {
  if (row.container) return row.container.name + (row.state === "claimed" ? " (stopped)" : "");
  const [first, ...more] = row.processes;
  if (first) return `${first.name} ${first.pid}${more.length ? ` +${more.length}` : ""}`;
  return row.owners === "hidden" ? `hidden (${row.user})` : row.note ?? "no visible process";
}

function kind(row) {
  const root = state.about.root;
  const inside = (folder) => root && folder && `${folder}/`.startsWith(`${root}/`);
  if (row.container ? inside(row.container.folder) : row.processes.some((process) => inside(process.cwd))) return "mine";
  if (row.container) return "container";
  return row.project ? "other" : "system";
}

function prepared(key, row) {
  const exposed = ["0.0.0.0", "::", "*"].includes(row.address);
  const command = row.processes[0]?.command.join(" ") ?? row.container?.image ?? "";
  const found = { ...row, key, kind: kind(row), holder: holder(row), command, exposed };
  found.text = [found.holder, row.project, row.service, row.container?.image, command, row.address].join(" ").toLowerCase();
  return found;
}

function told(news) {
  if (news.trouble) { get("live").textContent = news.trouble.message; return; }
  const touched = new Set();
  if (news.all) {
    state.rows = new Map(Object.entries(news.all).map(([key, row]) => [key, prepared(key, row)]));
    get("history").replaceChildren(...news.history.slice(-KEPT).map(event).reverse());
    emptiness();
  } else {
    const gone = news.gone.map((key) => state.rows.get(key)).filter(Boolean);
    for (const row of gone) state.rows.delete(row.key);
    for (const [key, row] of Object.entries(news.rows)) state.rows.set(key, prepared(key, row));
    const started = news.started.map((key) => state.rows.get(key));
    remember([...gone.map((row) => ({ at: news.at, what: "stopped", row })), ...started.map((row) => ({ at: news.at, what: "started", row }))]);
    for (const row of [...gone, ...Object.keys(news.rows).map((key) => state.rows.get(key))]) touched.add(row.port);
  }
  draw(news.started);
  if (news.all) requestAnimationFrame(() => performance.mark("first rows"));
  const skipped = get("skipped");
  skipped.hidden = !news.skipped?.length;
  skipped.textContent = (news.skipped ?? []).map((each) => `Not seen: ${each.what}: ${each.reason}`).join(". ");
  if (news.all || [...touched].some((port) => state.ports.has(port))) later(project);
}

function draw(started = []) {
  const rows = [...state.rows.values()].sort((one, two) => one.port - two.port || (one.key < two.key ? -1 : 1));
  list.show(rows, started);
  map.show(rows, state.leases, state.about.reserved);
}

const KEPT = 200; // lines of the history

function event({ at, what, row }) {
  const time = new Date(at * 1000);
  const name = row.transport === "udp" ? `${row.port}/udp` : row.port;
  return make("li", { className: row.transport }, make("time", { dateTime: time.toISOString() }, time.toLocaleTimeString()), `${name} ${what}: ${holder(row)}`);
}

function remember(events) {
  get("history").prepend(...events.slice(-KEPT).map(event).reverse());
  while (get("history").childElementCount > KEPT) get("history").lastElementChild.remove();
  emptiness();
}

// UDP is told where it is listed: every look-up of a name opens such a socket.
function emptiness() {
  const udp = get("udp").checked;
  get("history").classList.toggle("with-udp", udp);
  get("no-history").hidden = get("history").querySelector(udp ? "li" : "li.tcp") !== null;
}
get("udp").addEventListener("input", emptiness);

let waiting = 0;
function later(job) { clearTimeout(waiting); waiting = setTimeout(job, 150); }
setInterval(() => { if (!document.hidden) later(project); }, 15000); // files and leases change without a socket

// One port

async function detail(port, transport = "tcp") {
  const asked = transport === "udp" ? `${port}/udp` : String(port);
  const title = get("detail-title");
  get("detail").hidden = false;
  title.textContent = asked;
  title.focus();
  try {
    const [row] = (await patient(() => ask("who", { port: asked, history: 1 }))).ports;
    get("detail-body").replaceChildren(...facts(row, asked));
    title.textContent = row.listeners.length ? `${asked} is held` : `${asked}: nothing listens there`;
  } catch (error) { get("detail-body").replaceChildren(make("p", { className: "error" }, error.message)); }
}

function facts(row, asked) {
  const found = [];
  row.listeners.forEach((each, index) => {
    const process = each.processes[0];
    const pairs = [["Address", each.address], ["Held by", holder(each)]];
    if (process) pairs.push(["Command", process.command.join(" ")], ["User", process.user], ["Folder", process.cwd], ["Since", process.started && new Date(process.started).toLocaleString()]);
    if (each.container) pairs.push(["Image", each.container.image], ["Status", each.container.status], ["Folder", each.container.folder]);
    const above = row.ancestry[index] ?? [];
    if (above.length) pairs.push(["Started by", above.map((one) => `${one.name} ${one.pid}`).join(" < ")]);
    found.push(make("dl", {}, ...pairs.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
  });
  const more = [];
  if (row.lease) more.push(["Leased to", `${row.lease.service} of ${row.lease.worktree}`]);
  if (row.declared.length) more.push(["Declared in", [...new Set(row.declared.map((place) => `${place.path}:${place.line}`))].join(", ")]);
  if (row.customary.length) more.push(["Customarily", row.customary.join(", ")]);
  found.push(make("dl", {}, ...more.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
  for (const fix of row.fixes) if (fix.command) found.push(make("p", {}, `${fix.title}: `, copying(fix.command)));
  if (row.listeners.length) {
    const answer = make("p", { role: "status" });
    const listens = row.listeners.some((each) => each.state === "listen");
    const identified = listens ? button("Ask what it is", () => identify(row, answer), { "aria-label": `Ask which service answers on ${asked}` }) : "";
    found.push(make("p", {}, identified, listens ? " " : "", button(`Stop what holds ${asked}…`, () => stop(asked, project))), answer);
  }
  found.push(...past(row.history));
  return found;
}

// Which service answers there, asked in its own protocol.
async function identify(row, answer) {
  answer.className = "";
  answer.textContent = "asking…";
  const { address, port } = row.listeners.find((each) => each.state === "listen");
  const any = ["0.0.0.0", "::", "*"].includes(address);
  const target = any ? String(port) : address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  try {
    const found = await ask("identify", { target });
    const why = found.evidence.length ? `: ${found.evidence.join("; ")}` : "";
    answer.textContent = found.service ? `${found.service} ${found.version ?? ""} (${found.confidence})${why}` : found.answers ? `It answers, and does not tell what it is${why}` : `It does not answer${why}`;
  } catch (error) { answer.className = "error"; answer.textContent = error.message; }
}

const PAST = { present: "was there", start: "began to listen", stop: "ended", owner: "took it over", ran: "was started", leased: "has a lease", reclaimed: "lost its lease", stopped: "was stopped" };

// What Portward saw there before, the latest first.
function past(events) {
  if (!events?.length) return [make("p", { className: "hint" }, "Nothing is known of who held it before. What comes and goes is written down while this page, `portward top` or `portward ls --watch` is open.")];
  const lines = events.map((each) => make("li", {}, make("time", { dateTime: each.time }, new Date(each.time).toLocaleString()), `${each.who} ${each.pid ?? ""}: ${PAST[each.what] ?? each.what}`));
  return [make("h3", {}, "Before"), make("ol", { className: "past", reversed: true }, ...lines)];
}

// The project

async function project() {
  await Promise.all([leases(), services()]);
  state.ports = new Set([...state.leases.map((lease) => lease.port), ...state.declared]);
}

// In a fleet's store are the leases of all its hosts; some are for more hosts than their own.
const isOwn = (lease) => !state.about.host || lease.host === state.about.host;

async function leases() {
  try {
    state.leases = (await ask("leases", { all: 1 })).leases.filter((lease) => isOwn(lease) || lease.hosts.some((host) => host === "*" || host === state.about.host));
  } catch (error) { replace(get("leases"), make("p", { className: "error" }, error.message)); return; }
  const rows = state.leases.map((lease) => [String(lease.port), lease.service, lease.state, make("td", { title: lease.worktree }, lease.worktree.split("/").pop()),
    isOwn(lease) && lease.worktree === state.about.worktree && lease.kind !== "process"
      ? button("Release", () => act("release", { service: lease.service }, () => `${lease.port} of ${lease.service} is given back.`, project), { "aria-label": `Release ${lease.port} of ${lease.service}` })
      : ""]);
  replace(get("leases"), rows.length ? table(["Port", "Service", "State", "Worktree", "Action"], rows) : make("p", {}, "No port is leased yet."));
  draw();
}

async function services() {
  const actions = [button("Resolve conflicts…", () => review("resolve", {}, "Resolve conflicts", project)), button("Undo the last write…", () => review("undo", {}, "Take the last write back", project))];
  try {
    const answer = await ask("check");
    get("project-title").textContent = `Project ${answer.project}`;
    replace(get("findings"), ...folded(answer.findings.filter((each) => each.severity !== "note").map(finding)));
    state.declared = answer.services.flatMap((service) => entries(service).map((port) => Number(port.published)));
    const rows = answer.services.flatMap((service) => entries(service).map((port) => published(service, port)));
    replace(get("services"), rows.length ? table(["Service", "Host port", "Container", "State", "Written in", "Action"], rows) : make("p", {}, "No port is declared here."));
    replace(get("project-actions"), ...actions);
  } catch (error) {
    replace(get("findings")); replace(get("project-actions"));
    replace(get("services"), error.code === "no-project"
      ? make("p", {}, "No project here: no compose file, portward.toml or .git from this folder up. The page shows what listens on this machine; ", make("code", {}, "portward -C DIR serve"), " shows a project too.")
      : make("p", { className: "error" }, error.message));
  }
}

const OPEN = 5; // findings that are shown at once

function folded(findings) {
  const more = findings.slice(OPEN);
  const rest = more.length > 1 ? [make("details", {}, make("summary", {}, `${more.length} more`), ...more)] : more;
  return [...findings.slice(0, OPEN), ...rest];
}

// What Compose publishes of a service, else what it listens on by the project's other files.
function entries(service) {
  const own = service.ports.filter((port) => port.from === "compose");
  return own.length ? own : service.ports.filter((port) => port.side === "host" && port.role === "host" && port.state);
}

function published(service, port) {
  const several = service.ports.filter((each) => each.from === "compose").length > 1;
  const shown = { taken: "error", leased: "warning", running: "good" }[port.state] ?? "";
  return [service.name, port.published ?? port.bound.map((each) => each.port).join(", "), String(port.target ?? ""), make("td", { className: shown }, port.state), `${port.path}:${port.line}`,
    port.published ? button("Move…", () => move(service.name, several ? port.target : null, port.published, project), { "aria-label": `Move ${service.name} from ${port.published}` }) : ""];
}

function finding(each) {
  const places = each.locations.map((place) => make("p", {}, make("code", {}, `${place.path}:${place.line}:${place.column}`), ` ${place.text ?? ""}`));
  const fixes = each.fixes.map((fix) => {
    const title = `${fix.title.replace(/[ ,(]*free in .*$/, "")}…`;
    const wish = /^portward set (\S+=\d+) --write$/.exec(fix.command ?? "")?.[1];
    const held = /^portward kill (\S+)$/.exec(fix.command ?? "")?.[1];
    const doing = wish ? button(title, () => review("set", { wish }, fix.title, project), { title: fix.command }) : held ? button(title, () => stop(held, project), { title: fix.command }) : fix.command ? copying(fix.command) : null;
    return wish || held ? doing : make("span", {}, `${fix.title} `, doing);
  });
  return make("div", { className: `finding ${each.severity}` }, make("p", {}, make("strong", {}, `${each.severity}: `), each.message), ...places, fixes.length ? make("p", { className: "fixes" }, ...fixes) : null);
}

// The beginning

get("detail-close").addEventListener("click", () => { get("detail").hidden = true; get("search").focus(); });
get("lease").addEventListener("submit", (event) => {
  event.preventDefault();
  const service = get("lease-service").value.trim();
  act("lease", { service }, (answer) => answer.leases.map((lease) => `${lease.service} has ${lease.port}.`).join(" "), project);
});

async function begin() {
  try { state.about = await ask("about"); } catch (error) { get("live").textContent = error.message; }
  if (state.about.host) new Fleet(holder);
  get("where").textContent = state.about.root ?? state.about.folder ?? "";
  follow(told, (there, why) => {
    get("live").className = there ? "" : "error";
    get("live").textContent = there ? "live" : why ?? "not connected, trying again: is `portward serve` still running?";
  });
}
begin();
