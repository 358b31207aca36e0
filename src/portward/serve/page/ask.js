// The server's verbs. The token is the page's own, from its URL.

const token = new URLSearchParams(location.search).get("token") ?? "";
const headers = { authorization: `Bearer ${token}` };

export class Failure extends Error {
  constructor(error) { super(error.hint ? `${error.message} (${error.hint})` : error.message); this.code = error.code; }
}

async function answer(response) {
  let document;
  try { document = await response.json(); } catch { throw new Failure({ message: `the server answers ${response.status}` }); }
  if (document.error) throw new Failure(document.error);
  return document;
}

export async function ask(verb, values = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) for (const each of [value].flat()) query.append(name, each);
  return answer(await fetch(`/api/${verb}?${query}`, { headers }));
}

export async function change(verb, values = {}) {
  const body = JSON.stringify(values);
  return answer(await fetch(`/api/${verb}`, { method: "POST", headers: { ...headers, "content-type": "application/json" }, body }));
}

// Calls `told` with each document of the stream, `state` with whether it is there; begins anew when it ends.
export async function follow(told, state) {
  for (;;) {
    try {
      const response = await fetch("/api/events", { headers });
      if (!response.ok) throw new Failure((await response.json()).error);
      state(true);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = "", piece; !(piece = await reader.read()).done;) {
        const events = (rest + piece.value).split("\n\n");
        rest = events.pop();
        for (const event of events) told(JSON.parse(event.slice("data: ".length)));
      }
    } catch (error) { if (error.code === "no-token") { state(false, error.message); return; } }
    state(false);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
