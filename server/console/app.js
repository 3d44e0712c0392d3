// Chooses the page, asks for it every two seconds, and knows who is logged in.

import { logIn, logOut, who } from "./api.js";
import { connectionsPage, sessionsPage } from "./clients.js";
import { $, el, put } from "./dom.js";
import { ensemblePage } from "./ensemble.js";
import { treeMoved, treePage } from "./tree.js";

const EVERY = 2000;
const PAGES = { ensemble: ensemblePage, tree: treePage, sessions: sessionsPage, connections: connectionsPage };
let shown = null;
let read = null;
let busy = false;

async function poll() {
  if (busy || document.hidden || !read) return;
  busy = true;
  const mine = read;
  try {
    await mine();
    pulse(true, "The server answers");
  } catch (error) {
    pulse(false, error.message);
    // A page that has nothing yet says why.
    if (mine === read && !$("page").dataset.read) put($("page"), el("p", { class: "empty" }, error.message));
  }
  if (mine === read) $("page").dataset.read = "yes";
  busy = false;
  if (mine !== read) poll();
}

function pulse(good, text) {
  $("pulse").className = `pulse ${good ? "good" : "wrong"}`;
  $("pulse").title = text;
}

function route(again = false) {
  const name = location.hash.split("/")[1] || "ensemble";
  const page = PAGES[name] ? name : "ensemble";
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.getAttribute("href").split("/")[1] === page;
    link.classList.toggle("here", here);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (page === shown && !again) {
    if (page === "tree") treeMoved();
    else poll();
    return;
  }
  shown = page;
  delete $("page").dataset.read;
  document.title = `${page[0].toUpperCase()}${page.slice(1)} · Menagerie`;
  read = PAGES[page]($("page"));
  poll();
}

function showWho() {
  $("who").textContent = who() ? `Log out ${who()}` : "Log in";
}

$("who").addEventListener("click", () => {
  if (who()) {
    logOut();
    showWho();
    route(true);
    return;
  }
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  $("login-warning").hidden = location.protocol === "https:" || local;
  $("login-error").textContent = "";
  $("password").value = "";
  $("login").showModal();
});

async function submit() {
  try {
    await logIn($("user").value, $("password").value);
  } catch (error) {
    $("login-error").textContent = error.message;
    return;
  }
  $("password").value = "";
  $("login").close();
  showWho();
  route(true);
}

$("login-ok").addEventListener("click", submit);
$("password").addEventListener("keydown", (event) => { if (event.key === "Enter") submit(); });
$("login-cancel").addEventListener("click", () => $("login").close());

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
}

$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  theme(dark ? "light" : "dark");
  localStorage.setItem("theme", dark ? "light" : "dark");
});

theme(localStorage.getItem("theme"));
addEventListener("hashchange", () => route());
document.addEventListener("visibilitychange", poll);
setInterval(poll, EVERY);
route();
