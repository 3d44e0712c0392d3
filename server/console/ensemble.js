// The page on the ensemble: members, warnings, plots.

import { get } from "./api.js";
import { brief, bytes, count, duration, el, pill, put } from "./dom.js";
import { Plot } from "./plot.js";

const KINDS = { leader: "good", follower: "", observer: "violet", standalone: "good", looking: "wrong", leaderelection: "wrong", "read-only": "wrong" };
let samples = [];
let next = 0;
let silent = 0;

function lag(member) {
  if (member.lag === undefined) return "–";
  return member.lag > 5000 ? pill(count(member.lag), "wrong") : count(member.lag);
}

function row(member, alone) {
  const mode = member.mode ? pill(member.mode, KINDS[member.mode] ?? "") : pill(member.unreachable ? "not reached" : "unknown", member.unreachable ? "wrong" : "risky");
  const name = alone ? "this server" : `server ${member.sid}`;
  const number = (value) => el("td", { class: "n" }, value);
  const latency = member.latency_avg === undefined || member.latency_avg === null ? "–" : `${brief(member.latency_avg)} / ${brief(member.latency_max)}`;
  const where = member.me ? `port ${member.client_port}` : member.address;
  return el("tr", {},
    el("td", {}, el("b", {}, name), " ", member.me && !alone ? pill("you are here") : null,
      el("div", { class: "note mono" }, where ?? ""), member.note ? el("div", { class: "note" }, member.note) : null),
    el("td", {}, mode, member.follows ? el("div", { class: "note" }, member.follows) : null),
    alone ? null : el("td", {}, member.role),
    el("td", { class: "n mono" }, member.zxid ?? "–"), number(member.epoch ?? "–"), number(lag(member)),
    number(count(member.outstanding)), number(count(member.connections)), number(latency), number(count(member.nodes)),
    el("td", {}, member.version ?? "–"));
}

function table(overview) {
  const head = (text, n) => el("th", { class: n ? "n" : null }, text);
  const heads = [head("Server"), head("Mode"), overview.alone ? null : head("Role"), head("zxid", 1), head("Epoch", 1), head("Lag", 1),
    head("Outstanding", 1), head("Connections", 1), head("Latency avg / max ms", 1), head("Nodes", 1), head("Version")];
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads)),
    el("tbody", {}, overview.members.map((member) => row(member, overview.alone)))));
}

function warnings(overview) {
  if (!overview.warnings.length) {
    return el("div", { class: "warning well" }, el("b", {}, "All is well"), el("span", {}, "No warnings from this server."));
  }
  return overview.warnings.map((w) => el("div", { class: `warning ${w.level}` }, el("b", {}, w.text), el("span", {}, w.advice)));
}

function cards(me, last) {
  const card = (value, text) => el("div", { class: "card" }, el("b", {}, value), el("span", {}, text));
  return [card(brief(last?.requests ?? 0), "requests / s"), card(brief(last?.changes ?? 0), "changes / s"),
    card(count(me.nodes), "nodes"), card(bytes(me.data_bytes), "data, about"), card(count(me.ephemerals), "ephemeral nodes"),
    card(count(me.watches), "watches"), card(count(me.connections), "connections"), card(duration(me.uptime_ms), "up")];
}

export function ensemblePage(page) {
  const plots = [new Plot("Requests", "/ s", "requests"), new Plot("Changes", "/ s", "changes"),
    new Plot("Write latency", "ms", "write", "blue"), new Plot("Read latency", "ms", "read", "blue"),
    new Plot("Log sync (fsync)", "ms", "fsync", "blue"), new Plot("Outstanding requests", "", "outstanding", "violet"),
    new Plot("Connections", "", "connections", "violet")];
  const title = el("h1", {}, "Ensemble");
  const sub = el("p", { class: "sub" });
  const signs = el("div", { class: "warnings" });
  const figures = el("div", { class: "cards" });
  const members = el("div", { class: "panel flush" });
  const how = el("p", { class: "note" });
  put(page, title, sub, signs, members, el("h2", {}, "This server"), figures,
    el("div", { class: "plots" }, plots.map((plot) => plot.element)), how);
  return async () => {
    const overview = await get("overview", { from: next || undefined });
    const fresh = overview.history;
    // A restarted server counts from the start again: until then nothing is new to it.
    silent = fresh.length ? 0 : silent + 1;
    if (silent > 4) [samples, next, silent] = [[], 0, 0];
    samples = samples.concat(fresh).slice(-300);
    next = fresh.length ? fresh[fresh.length - 1].n + 1 : next;
    const me = overview.members.find((member) => member.me);
    title.textContent = overview.alone ? "Server" : "Ensemble";
    const leader = overview.members.find((member) => member.mode === "leader");
    sub.textContent = overview.alone ? `Standalone, Menagerie ${overview.version}`
      : `${overview.members.length} members, ${leader ? `server ${leader.sid} leads` : "no leader known"}. You are looking at server ${me.sid}: ${overview.state}.`;
    put(signs, warnings(overview));
    put(members, table(overview));
    how.textContent = overview.alone ? "" : "This server knows its own figures; the others are asked “srvr” at their client ports when you look, within 0.8 s each. They answer at slightly different moments, so a lag of a few transactions under load means nothing. Whether a member is in sync is known to the leader: open the console there.";
    put(figures, cards(me, samples[samples.length - 1]));
    for (const plot of plots) plot.draw(samples);
  };
}
