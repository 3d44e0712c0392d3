// The pages on sessions and on connections.

import { get } from "./api.js";
import { brief, bytes, count, duration, el, pill, put, time } from "./dom.js";
import { address } from "./tree.js";

const head = (text, n) => el("th", { class: n ? "n" : null }, text);
const number = (value) => el("td", { class: "n" }, value);

function table(heads, rows, nothing) {
  if (!rows.length) return el("p", { class: "empty" }, nothing);
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)));
}

function paths(title, list, nothing) {
  const rows = list.paths.map((path) => el("li", {}, el("a", { class: "mono", href: address(path) }, path)));
  const left = list.total - list.hidden - list.paths.length;
  return el("div", {}, el("h2", { class: "spaced" }, `${title} (${count(list.total)})`),
    rows.length ? el("ul", { class: "paths" }, rows) : el("p", { class: "note" }, nothing),
    left > 0 ? el("p", { class: "note" }, `and ${count(left)} more`) : null,
    list.hidden ? el("p", { class: "note" }, `${count(list.hidden)} are not shown: the ACLs of their parents do not let you list them.`) : null);
}

async function detail(box, id) {
  let session;
  try {
    session = await get("session", { id });
  } catch (error) {
    put(box, el("h2", { class: "mono" }, id), el("p", { class: "empty" }, error.message));
    return;
  }
  const here = session.address ? `${session.address}, connected here since ${time(session.established)}` : "not connected to this server";
  put(box, el("h2", { class: "mono" }, session.id), el("p", { class: "note" }, `Time-out ${duration(session.timeout_ms)} · ${here}`),
    paths("Ephemeral nodes", session.ephemerals, "None."),
    paths("Watches", session.watches, session.address ? "None." : "Only the server that the client is connected to knows them."));
}

export function sessionsPage(page) {
  const chosen = () => decodeURIComponent(location.hash.split("/")[2] ?? "");
  const filter = el("input", { placeholder: "Id or address contains…", "aria-label": "Filter sessions" });
  const list = el("div", { class: "panel flush" });
  const side = el("div", { class: "panel" });
  const sub = el("p", { class: "sub" });
  const heads = [head("Session"), head("Client"), head("Time-out", 1), head("Heard ago", 1), head("Ephemerals", 1), head("Watches", 1)];
  put(page, el("h1", {}, "Sessions"), sub, el("div", { class: "bar" }, filter), list, side);
  side.hidden = !chosen();
  const read = async () => {
    const answer = await get("sessions", { filter: filter.value.trim() });
    sub.textContent = `${count(answer.total)} sessions of the ensemble${answer.matching > answer.sessions.length ? `; the first ${count(answer.sessions.length)} of ${count(answer.matching)} are listed` : ""}. Clients' addresses and watches are known of those connected to this server.`;
    put(list, table(heads, answer.sessions.map((s) => el("tr", { class: "click", onclick: () => { location.hash = `#/sessions/${s.id}`; } },
      el("td", {}, el("code", {}, s.id), " ", s.local ? pill("local") : null), el("td", {}, s.address ?? el("span", { class: "note" }, "elsewhere")),
      number(duration(s.timeout_ms)), number(duration(s.heard_ms_ago)), number(count(s.ephemerals)), number(count(s.watches)))), "No sessions."));
    if (chosen()) {
      side.hidden = false;
      await detail(side, chosen());
    }
  };
  filter.addEventListener("input", () => read().catch(() => {}));
  return read;
}

export function connectionsPage(page) {
  const list = el("div", { class: "panel flush" });
  const sub = el("p", { class: "sub" });
  const heads = [head("Client"), head("Session"), head("Requests / s", 1), head("In / s", 1), head("Out / s", 1), head("Requests", 1), head("In", 1), head("Out", 1), head("Outstanding", 1), head("Latency avg / max ms", 1), head("Last")];
  put(page, el("h1", {}, "Connections"), sub, list);
  return async () => {
    const answer = await get("connections");
    sub.textContent = `Top talkers of the ${count(answer.total)} connections to this server, by what they asked for since the last look.`;
    put(list, table(heads, answer.connections.map((c) => el("tr", {},
      el("td", {}, c.address), el("td", {}, c.session ? el("a", { class: "mono", href: `#/sessions/${c.session}` }, c.session) : "–"),
      number(el("b", {}, brief(c.requests_per_s))), number(bytes(c.in_per_s)), number(bytes(c.out_per_s)), number(count(c.requests)),
      number(bytes(c.bytes_in)), number(bytes(c.bytes_out)), number(count(c.outstanding)), number(`${brief(c.average_ms)} / ${count(c.max_ms)}`), el("td", {}, el("code", {}, c.last ?? "–")))), "Nobody is connected."));
  };
}
