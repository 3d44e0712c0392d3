// One node: data, stat, ACL, and for who has logged in the ways to change it.

import { change, fromBase64, get, toBase64, who } from "./api.js";
import { $, bytes, el, pill, put, time, toast } from "./dom.js";
import { address, join } from "./tree.js";

const HEX_MAX = 64 * 1024;

function text(data) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return null;
  }
}

function json(data) {
  try {
    const value = JSON.parse(text(data));
    return typeof value === "object" && value !== null ? JSON.stringify(value, null, 2) : null;
  } catch {
    return null;
  }
}

function hex(data) {
  const lines = [];
  for (let at = 0; at < Math.min(data.length, HEX_MAX); at += 16) {
    const part = [...data.subarray(at, at + 16)];
    const digits = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const letters = part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${digits.padEnd(47)}  ${letters}`);
  }
  if (data.length > HEX_MAX) lines.push("…");
  return lines.join("\n");
}

function dataView(node) {
  if (node.data === null) return el("p", { class: "note" }, "No data (null).");
  const data = fromBase64(node.data);
  if (!data.length) return el("p", { class: "note" }, "Empty.");
  const views = { Text: text(data), JSON: json(data), Hex: hex(data) };
  const box = el("pre", {});
  const buttons = Object.entries(views).map(([name, value]) => el("button", { disabled: value === null, onclick: () => show(name) }, name));
  function show(name) {
    box.textContent = views[name];
    box.classList.toggle("hex", name === "Hex");
    for (const button of buttons) button.classList.toggle("here", button.textContent === name);
  }
  show(views.JSON !== null ? "JSON" : views.Text !== null ? "Text" : "Hex");
  const size = bytes(node.stat.dataLength) + (node.cut ? ", the first 1 MiB is shown" : "");
  return [el("div", { class: "tabs" }, buttons, el("span", { class: "note" }, size)), box];
}

function statView(node) {
  const { stat } = node;
  const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", { class: "mono" }, value));
  const owner = node.kind === "ephemeral" ? el("a", { href: `#/sessions/${stat.ephemeralOwner}` }, stat.ephemeralOwner) : stat.ephemeralOwner;
  return el("dl", { class: "facts" }, fact("version", stat.version), fact("children", stat.numChildren),
    fact("cversion", stat.cversion), fact("aversion", stat.aversion), fact("created", time(stat.ctime)), fact("changed", time(stat.mtime)),
    fact("czxid", stat.czxid), fact("mzxid", stat.mzxid), fact("pzxid", stat.pzxid), fact("ephemeralOwner", owner),
    node.ttl_ms ? fact("time to live", `${node.ttl_ms} ms`) : null);
}

const PERMS = { c: "create", d: "delete", r: "read", w: "write", a: "admin" };

function aclView(node) {
  if (!node.acl) return el("p", { class: "note" }, "Not shown to you.");
  const rows = node.acl.map((entry) => el("tr", {}, el("td", {}, el("code", {}, entry.scheme)), el("td", {}, el("code", {}, entry.id)),
    el("td", {}, [...entry.perms].map((letter) => [pill(PERMS[letter]), " "]))));
  return el("div", { class: "scroll" }, el("table", {}, el("tbody", {}, rows)));
}

/** Opens a dialog with these fields; `act` is tried when the button is pressed. */
function dialog(title, fields, verb, kind, act) {
  const box = $("ask");
  const error = el("p", { class: "error", role: "alert" });
  const ok = el("button", { class: kind, onclick: async () => {
    ok.disabled = true;
    error.textContent = "";
    try {
      await act();
      box.close();
    } catch (failure) {
      error.textContent = failure.message;
    }
    ok.disabled = false;
  } }, verb);
  put(box, el("h2", {}, title), ...fields, error,
    el("div", { class: "actions" }, el("button", { class: "quiet", onclick: () => box.close() }, "Cancel"), ok));
  box.showModal();
}

const encode = (value) => toBase64(new TextEncoder().encode(value));

function editData(node, again) {
  const data = node.data === null ? new Uint8Array() : fromBase64(node.data);
  const input = el("textarea", { "aria-label": "Data", spellcheck: "false" });
  const plain = text(data);
  input.value = plain ?? "";
  const note = plain === null ? "The data are not text; what you write replaces them." : `Written only if the version is still ${node.stat.version}.`;
  dialog(`Set the data of ${node.path}`, [input, el("p", { class: "note" }, note)], "Set data", "primary", async () => {
    await change({ op: "set", path: node.path, data: encode(input.value), version: node.stat.version });
    toast("Data set");
    again();
  });
}

function createChild(node, page) {
  const name = el("input", { "aria-label": "Name", spellcheck: "false" });
  const data = el("textarea", { "aria-label": "Data", spellcheck: "false" });
  const mode = el("select", {}, ["persistent", "persistent_sequential", "container", "ttl", "ttl_sequential"].map((m) => el("option", { value: m }, m.replace("_", ", "))));
  const ttl = el("input", { type: "number", min: "1", value: "60000" });
  const ttlLabel = el("label", { hidden: true }, "Milliseconds to live", ttl);
  mode.addEventListener("change", () => { ttlLabel.hidden = !mode.value.startsWith("ttl"); });
  const inherit = el("input", { type: "checkbox", checked: Boolean(node.acl), disabled: !node.acl });
  dialog(`Create a node in ${node.path}`, [el("label", {}, "Name", name), el("label", {}, "Kind", mode), ttlLabel,
    el("label", {}, "Data", data), el("label", {}, inherit, " The same ACL as this node (else open to everyone)")], "Create", "primary", async () => {
    const what = { op: "create", path: join(node.path, name.value), data: encode(data.value), mode: mode.value };
    if (mode.value.startsWith("ttl")) what.ttl_ms = Number(ttl.value);
    if (inherit.checked) what.acl = node.acl;
    const made = await change(what);
    toast(`Created ${made.path}`);
    await page.refresh(node.path);
    page.choose(made.path);
  });
}

function deleteNode(node, page) {
  const parent = node.path.slice(0, node.path.lastIndexOf("/")) || "/";
  const version = node.stat ? node.stat.version : -1;
  const note = node.stat ? `Deleted only if the version is still ${version} and there are no children.` : "Deleted only if there are no children.";
  dialog(`Delete ${node.path}?`, [el("p", { class: "note" }, note)], "Delete", "danger", async () => {
    await change({ op: "delete", path: node.path, version });
    toast(`Deleted ${node.path}`);
    await page.refresh(parent);
    page.choose(parent);
  });
}

function editAcl(node, again) {
  const list = el("div", {});
  const field = (value, label) => { const input = el("input", { "aria-label": label, spellcheck: "false" }); input.value = value; return input; };
  function add(entry) {
    const row = el("div", { class: "acl" }, field(entry.perms, "Permissions"), field(entry.scheme, "Scheme"), field(entry.id, "Id"),
      el("button", { title: "Remove", onclick: () => row.remove() }, "×"));
    list.append(row);
  }
  node.acl.forEach(add);
  dialog(`Set the ACL of ${node.path}`, [list,
    el("button", { onclick: () => add({ perms: "cdrwa", scheme: "digest", id: "" }) }, "Add an entry"),
    el("p", { class: "note" }, "Permissions are letters: create, delete, read, write, admin. ", el("code", {}, "auth"), " with an empty id means yourself. Set only if aversion is still ", node.stat.aversion, ".")],
  "Set ACL", "primary", async () => {
    const acl = [...list.children].map((row) => {
      const [perms, scheme, id] = [...row.querySelectorAll("input")].map((input) => input.value.trim());
      return { perms, scheme, id };
    });
    await change({ op: "acl", path: node.path, acl, version: node.stat.aversion });
    toast("ACL set");
    again();
  });
}

function crumbs(path) {
  const parts = [el("a", { href: address("/") }, "/")];
  let at = "";
  for (const name of path === "/" ? [] : path.slice(1).split("/")) {
    at += `/${name}`;
    if (parts.length > 1) parts.push(el("i", {}, "/"));
    parts.push(el("a", { href: address(at) }, name));
  }
  return el("div", { class: "path" }, parts);
}

export async function showNode(panel, path, page) {
  const again = () => showNode(panel, path, page);
  let node;
  try {
    node = await get("node", { path });
  } catch (error) {
    put(panel, crumbs(path), el("p", { class: "empty" }, error.message));
    return;
  }
  const { may } = node;
  const button = (label, allowed, act, kind = "") => el("button", { class: kind, disabled: !allowed, title: allowed ? null : "The ACL does not allow that to you", onclick: act }, label);
  const actions = who() ? el("div", { class: "actions left" },
    button("Set data", may.write && node.readable && !node.cut, () => editData(node, again)),
    button("Create child", may.create && node.kind !== "ephemeral", () => createChild(node, page)),
    button("Set ACL", may.admin && node.readable && node.acl, () => editAcl(node, again)),
    button("Delete", may.delete, () => deleteNode(node, page), "danger"))
    : el("p", { class: "note" }, "Log in to change something.");
  if (!node.readable) {
    put(panel, crumbs(path), el("p", { class: "empty" }, who() ? "This node's ACL does not let you read it." : "This node's ACL does not let everyone read it. Log in to see it as somebody."), el("h2", {}, "ACL"), aclView(node), actions);
    return;
  }
  const kind = node.kind === "persistent" ? null : el("p", {}, pill(node.kind, node.kind === "ephemeral" ? "violet" : ""));
  put(panel, crumbs(path), kind, actions, dataView(node), el("h2", { class: "spaced" }, "Stat"), statView(node),
    el("h2", { class: "spaced" }, "ACL"), aclView(node));
}
