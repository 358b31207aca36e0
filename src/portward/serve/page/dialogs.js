// What changes something: shown first, done only when it is agreed to, and taken back where that can be.

import { button, get, make, patient, say } from "./dom.js";
import { ask, change } from "./ask.js";

const dialog = get("dialog");

function open(title, body, actions) {
  get("dialog-title").textContent = title;
  get("dialog-body").replaceChildren(...body);
  get("dialog-error").textContent = "";
  get("dialog-actions").replaceChildren(...actions, button("Cancel", () => dialog.close()));
  if (!dialog.open) dialog.showModal();
}

async function attempt(act) {
  get("dialog-error").textContent = "";
  try { await patient(act); } catch (error) {
    if (dialog.open) get("dialog-error").textContent = error.message; else say(error.message);
  }
}

function diff(text) {
  const kind = (line) => (/^(---|\+\+\+|@@)/.test(line) ? "head" : line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "");
  return make("pre", { tabIndex: 0, "aria-label": "What would change" }, ...text.split("\n").map((line) => make("span", { className: kind(line) }, line || " ")));
}

// Shows what a verb would change, and does it when that is agreed to.
export async function review(verb, values, title, done) {
  await attempt(async () => {
    const shown = await change(verb, values);
    const remarks = shown.remarks.map((remark) => make("p", { className: "hint" }, remark));
    if (!shown.changes.length) { open(title, [make("p", {}, "Nothing to change."), ...remarks], []); return; }
    const files = new Set(shown.changes.map((each) => each.path)).size;
    const apply = button("Apply", () => attempt(async () => {
      const written = await change(verb, { preview_id: shown.preview_id });
      dialog.close();
      const undo = verb === "undo" ? null : button("Undo", () => review("undo", {}, "Take the last write back", done));
      say(verb === "undo" ? "Taken back." : `Written in ${files} file${files === 1 ? "" : "s"}.`, undo);
      undo?.focus();
      done(written);
    }), { className: "main" });
    open(title, [...remarks, diff(shown.diff)], [apply]);
    apply.focus();
  });
}

export function move(service, target, now, done) {
  const name = target ? `${service}:${target}` : service;
  const input = make("input", { id: "move-port", type: "number", min: 1, max: 65535, required: true });
  const preview = (event) => { event?.preventDefault(); if (input.reportValidity()) review("set", { wish: `${name}=${input.value}` }, `Move ${service} from ${now} to ${input.value}`, done); };
  const form = make("form", { onsubmit: preview }, make("label", { htmlFor: "move-port" }, `New host port of ${service}`), input,
    button("Find a free one", () => attempt(async () => { input.value = (await ask("offer", { service })).ports[0]; })));
  open(`Move ${service}`, [form], [button("Preview", preview, { className: "main" })]);
  input.focus();
}

export async function stop(port, done) {
  await attempt(async () => {
    const plan = await change("kill", { port: String(port) });
    const refused = plan.refused.map((each) => make("p", { className: "error" }, `${each.what}: ${each.why}${each.hint ? ` (${each.hint})` : ""}`));
    const lines = plan.planned.map((each) => make("li", {}, `${each.what}: ${each.how}`, ...each.remarks.map((remark) => make("p", { className: "hint" }, remark))));
    const go = button("Stop it", () => attempt(async () => {
      const stopped = await change("kill", { preview_id: plan.preview_id });
      dialog.close();
      say(stopped.stopped.map((each) => `${each.what}: ${each.how}`).join("; ") || "Nothing was stopped.");
      done();
    }), { className: "main" });
    open(`Stop what holds ${port}`, [make("ul", {}, ...lines), ...refused], plan.planned.length ? [go] : []);
  });
}

export async function act(verb, values, told, done) {
  try { say(told(await patient(() => change(verb, values)))); done(); } catch (error) { say(error.message); }
}
