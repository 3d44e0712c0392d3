// Talks to the server. The identity lives in this module for as long as the page does: no cookie, no
// storage, so that no other page can use it.

let authorization = null;
let user = null;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (authorization) headers.Authorization = authorization;
  let response;
  try {
    response = await fetch(`api/${path}`, {
      ...options, headers, credentials: "omit", cache: "no-store", redirect: "error",
      signal: AbortSignal.timeout(30000),
    });
  } catch {
    throw new Refused(0, "the server does not answer");
  }
  const answer = await response.json().catch(() => ({ error: `status ${response.status}` }));
  if (!response.ok) throw new Refused(response.status, answer.error ?? `status ${response.status}`);
  return answer;
}

/** Asks for something; `parameters` go into the address. */
export function get(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  return ask(query ? `${path}?${query}` : path);
}

/** Makes a change. */
export function change(what) {
  return ask("change", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what),
  });
}

export const toBase64 = (bytes) => {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
};

export const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** Takes an identity if the server does. */
export async function logIn(name, password) {
  const before = authorization;
  authorization = `Basic ${toBase64(new TextEncoder().encode(`${name}:${password}`))}`;
  try {
    const who = await get("whoami");
    user = who.super ? `${name} (super)` : name;
  } catch (error) {
    authorization = before;
    throw error;
  }
}

export function logOut() {
  authorization = null;
  user = null;
}

export const who = () => user;
