// The page on the tree: nodes on the left, opened when asked for and a page of children at a time,
// the chosen one on the right.

import { get } from "./api.js";
import { bytes, count, el, pill, put } from "./dom.js";
import { showNode } from "./node.js";

const PAGE = 200;

export const join = (parent, name) => (parent === "/" ? `/${name}` : `${parent}/${name}`);
export const address = (path) => `#/tree${path.split("/").map(encodeURIComponent).join("/")}`;
export const pathOf = (hash) => {
  const path = hash.slice("#/tree".length).split("/").map(decodeURIComponent).join("/");
  return path.length > 1 ? path.replace(/\/+$/, "") : "/";
};

/** A node in the list on the left. */
class Branch {
  constructor(page, path, child) {
    this.page = page;
    this.path = path;
    this.list = el("ul", { hidden: true });
    this.twist = el("button", { class: "twist", "aria-label": "Open", onclick: (event) => { event.stopPropagation(); this.toggle(); } }, "▸");
    if (child.children === 0) this.twist.style.visibility = "hidden";
    const name = path === "/" ? "/" : child.name;
    const kind = child.kind && child.kind !== "persistent" ? pill(child.kind, child.kind === "ephemeral" ? "violet" : "") : null;
    const extra = child.locked ? "no access" : child.children ? count(child.children) : child.bytes ? bytes(child.bytes) : "";
    this.row = el("div", { class: "row", title: path, onclick: () => page.choose(path) },
      this.twist, el("span", { class: "name" }, name), kind, el("span", { class: "extra" }, extra));
    this.element = el("li", {}, this.row, this.list);
    page.branches.set(path, this);
  }

  async toggle(open = this.list.hidden) {
    this.list.hidden = !open;
    this.twist.classList.toggle("open", open);
    this.twist.setAttribute("aria-label", open ? "Close" : "Open");
    if (open && !this.loaded) await this.load();
  }

  /** Reads the first page of children anew. */
  async load(filter = "") {
    this.loaded = true;
    this.filter = filter;
    put(this.list);
    await this.more();
  }

  async more(after) {
    this.tail?.remove();
    let answer;
    try {
      answer = await get("children", { path: this.path, after, filter: this.filter, limit: PAGE });
    } catch (error) {
      this.tail = el("li", { class: "more" }, error.message);
      this.list.append(this.tail);
      return;
    }
    for (const child of answer.children) this.list.append(new Branch(this.page, join(this.path, child.name), child).element);
    const shown = this.list.children.length;
    this.tail = el("li", { class: "more" });
    if (answer.more) {
      const last = answer.children[answer.children.length - 1].name;
      this.tail.append(el("button", { class: "link", onclick: () => this.more(last) }, "Show more"));
    }
    if (answer.total > PAGE || this.filter) {
      const input = el("input", { placeholder: "Only names with…", "aria-label": "Filter children", value: this.filter });
      input.addEventListener("change", () => this.load(input.value));
      this.tail.append(`${count(shown)} of ${count(answer.matching)}${this.filter ? " that match" : ""}`, input);
    }
    if (this.tail.childNodes.length) this.list.append(this.tail);
  }
}

class TreePage {
  constructor(page) {
    this.branches = new Map();
    this.left = el("div", { class: "panel tree", role: "tree" });
    this.right = el("div", { class: "panel" });
    const go = el("input", { class: "mono", placeholder: "/path/of/a/node", "aria-label": "Path", spellcheck: "false" });
    const form = el("form", { class: "bar", onsubmit: (event) => { event.preventDefault(); this.choose(go.value.trim() || "/"); } },
      go, el("button", {}, "Go"), el("button", { type: "button", onclick: () => this.refresh() }, "Refresh"));
    this.go = go;
    put(page, el("h1", {}, "Tree"), el("p", { class: "sub" }, "As this server has it, with the rights of whoever is logged in."), form,
      el("div", { class: "split" }, this.left, this.right));
  }

  async start(path) {
    this.root = new Branch(this, "/", {});
    put(this.left, el("ul", {}, this.root.element));
    await this.root.toggle(true);
    await this.reveal(path);
  }

  /** Opens the way to `path` as far as it is on the pages that are shown. */
  async reveal(path) {
    let at = "";
    for (const name of path.split("/").slice(1, -1)) {
      at += `/${name}`;
      const branch = this.branches.get(at);
      if (!branch) break;
      if (branch.list.hidden) await branch.toggle(true);
    }
    await this.show(path);
  }

  async show(path) {
    this.path = path;
    this.go.value = path;
    for (const branch of this.branches.values()) branch.row.classList.toggle("chosen", branch.path === path);
    await showNode(this.right, path, this);
  }

  choose(path) {
    if (location.hash === address(path)) this.show(path);
    else location.hash = address(path);
  }

  /** Reads everything that is shown anew, after a change below `parent` if it is given. */
  async refresh(parent) {
    if (parent === undefined) {
      this.branches.clear();
      await this.start(this.path);
      return;
    }
    const branch = this.branches.get(parent);
    if (branch) {
      branch.twist.style.visibility = "visible";
      branch.loaded = false;
      await branch.toggle(true);
    }
  }
}

let current = null;

export function treePage(page) {
  current = new TreePage(page);
  const starting = current.start(pathOf(location.hash));
  return async () => { await starting; };
}

/** The address has changed within the page. */
export const treeMoved = () => current?.reveal(pathOf(location.hash));
