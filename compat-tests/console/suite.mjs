// The console in a browser, over an ensemble of three with data, clients and load.
// With SCREENSHOTS=folder, pictures of the pages are left there.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { Ensemble } from "./ensemble.mjs";
import { Client } from "./zk.mjs";

const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const MARKUP = "<script>window.hit=1<∕script><img src=x onerror=window.hit=2>";
const CHILDREN = 100000;
const PATIENCE = 20000;

const tests = [];
const test = (name, body) => tests.push({ name, body });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function eventually(what, check) {
  const end = Date.now() + PATIENCE;
  let last;
  while (Date.now() < end) {
    try {
      const value = await check();
      if (value) return value;
    } catch (error) {
      last = error;
    }
    await pause(200);
  }
  throw new Error(`${what}: not within ${PATIENCE} ms${last ? ` (${last.message})` : ""}`);
}

/** What the page warns of, but for the disk of the machine that the tests run on. */
async function warnings(page) {
  const texts = await page.locator(".warning").allTextContents();
  assert.ok(texts.length > 0, "neither a warning nor that there is none");
  const well = await page.locator(".warning.well").allTextContents();
  return texts.filter((text) => !well.includes(text) && !/^less than \d+ % of the disk/.test(text));
}

async function populate(ensemble) {
  const client = await eventually("a session", () => Client.open(ensemble.members[0].client));
  const make = async (path, data, options) => assert.equal(await client.create(path, data, options), 0, path);
  await make("/app", "");
  await make("/app/config", JSON.stringify({ name: "orders", replicas: 3, features: { retries: true, timeout_ms: 2500 }, hosts: ["a.example", "b.example"] }));
  await make("/app/locks");
  await make("/app/workers");
  await make("/app/readme", "Plain text, with umlauts: äöü.");
  await make("/app/binary", Buffer.from([0, 1, 2, 255, 254, 0x41, 0x42, 0x43, 10, 13, 200, 201]));
  await make(`/app/${MARKUP}`, MARKUP);
  await make("/brokers", "");
  await make("/big");
  const pending = [];
  for (let n = 0; n < CHILDREN; n += 1) {
    pending.push(client.create(`/big/item-${String(n).padStart(6, "0")}`));
    if (pending.length === 2000) await Promise.all(pending.splice(0));
  }
  await Promise.all(pending);
  await client.auth("alice:secret");
  await make("/vault", "the combination", { acl: [[31, "auth", ""]] });
  return client;
}

/** Clients with ephemeral nodes and watches, and load from some of them. */
async function employ(ensemble) {
  const workers = [];
  for (let n = 0; n < 9; n += 1) {
    const worker = await Client.open(ensemble.members[n % 3].client);
    assert.equal(await worker.create(`/app/workers/worker-${n}`, `{"host":"10.0.0.${n}"}`, { ephemeral: true }), 0);
    await worker.get("/app/config", true);
    workers.push(worker);
  }
  let going = true;
  const work = workers.map(async (worker, n) => {
    for (let round = 0; going && !worker.lost; round += 1) {
      await worker.get("/app/readme");
      if (round % 4 === 0) await worker.set(`/app/workers/worker-${n}`, `{"host":"10.0.0.${n}","round":${round}}`);
      await pause(10 + n * 15);
    }
  });
  return async () => { going = false; await Promise.all(work); workers.forEach((worker) => worker.close()); };
}

test("the ensemble is shown with its members and plots", async ({ page, open, ensemble }) => {
  await open("#/ensemble");
  const rows = page.locator("tbody tr");
  await rows.nth(2).waitFor();
  await eventually("a leader and two followers", async () => {
    const modes = await page.locator("tbody tr td:nth-child(2) .pill").allTextContents();
    return modes.sort().join() === "follower,follower,leader";
  });
  const zxids = await page.locator("tbody tr td:nth-child(4)").allTextContents();
  assert.ok(zxids.every((zxid) => /^0x[0-9a-f]+$/.test(zxid)), zxids.join());
  await eventually("no warnings", async () => (await warnings(page)).length === 0);
  await eventually("curves", async () => (await page.locator(".plot .curve").count()) === 7);
  const leader = (await ensemble.overview(0)).members.find((member) => member.mode === "leader").sid;
  await open("#/ensemble", leader - 1);
  await eventually("the leader knows who is in sync", async () => (await page.getByText("in sync", { exact: true }).count()) === 2);
});

test("nodes are opened, and their data shown as what they are", async ({ page, open }) => {
  await open("#/tree/app/config");
  await page.getByText('"timeout_ms": 2500').waitFor();
  assert.equal(await page.locator(".tabs button.here").textContent(), "JSON");
  await page.getByRole("button", { name: "Hex" }).click();
  assert.match(await page.locator("pre").textContent(), /^00000000 {2}7b 22 6e/);
  await page.locator(".row", { hasText: "binary" }).click();
  await page.locator("pre", { hasText: "00 01 02 ff fe 41 42 43" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Text" }).isDisabled(), true);
  await page.locator(".row", { hasText: "readme" }).click();
  await page.locator("pre", { hasText: "umlauts: äöü" }).waitFor();
  await page.locator(".facts", { hasText: "dataLength" }).count();
});

test("a hundred thousand children come a page at a time", async ({ page, open }) => {
  await open("#/tree/big");
  const big = page.locator("li", { has: page.locator("> .row", { hasText: /^▸?big/ }) }).last();
  await big.locator("> .row .twist").click();
  await page.getByText("200 of 100,000").waitFor();
  assert.equal(await page.locator(".row", { hasText: "item-" }).count(), 200);
  await page.getByRole("button", { name: "Show more" }).click();
  await page.locator(".row", { hasText: "item-000399" }).waitFor();
  const filter = page.getByLabel("Filter children").last();
  await filter.fill("item-09999");
  await filter.press("Enter");
  await page.getByText("10 of 10 that match").waitFor();
});

test("names and data that look like markup stay text", async ({ page, open }) => {
  await open("#/tree/app");
  await page.locator(".row > .twist.open").nth(0).waitFor();
  await page.locator(".row", { hasText: /^▸app/ }).locator(".twist").click();
  await page.locator(".row", { hasText: MARKUP }).click();
  await page.locator("pre", { hasText: MARKUP }).waitFor();
  await pause(300);
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.equal(await page.locator("main img, main script").count(), 0);
});

test("what an ACL hides is shown after logging in as who may see it", async ({ page, open, logIn }) => {
  await open("#/tree/vault");
  await page.getByText("does not let everyone read it").waitFor();
  await logIn("alice", "secret");
  await page.locator("pre", { hasText: "the combination" }).waitFor();
  await page.getByRole("button", { name: "Log out alice" }).click();
  await page.getByText("does not let everyone read it").waitFor();
});

test("nodes are created, written with a version check, given an ACL and deleted", async ({ page, open, logIn, client }) => {
  await open("#/tree/brokers");
  await page.getByText("Log in to change something.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Delete" }).count(), 0);
  await logIn("bob", "pass word:ü");
  await page.getByRole("button", { name: "Create child" }).click();
  await page.locator("#ask").getByLabel("Name", { exact: true }).last().fill("one");
  await page.locator("#ask textarea").fill("first");
  await page.locator("#ask").getByRole("button", { name: "Create" }).click();
  await page.locator("pre", { hasText: "first" }).waitFor();
  await page.getByRole("button", { name: "Set data" }).click();
  await client.set("/brokers/one", "somebody else");
  await page.locator("#ask textarea").fill("mine");
  await page.locator("#ask").getByRole("button", { name: "Set data" }).click();
  await page.getByText("somebody else has changed it meanwhile").waitFor();
  await page.locator("#ask").getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Refresh" }).click();
  await page.locator("pre", { hasText: "somebody else" }).waitFor();
  await page.getByRole("button", { name: "Set data" }).click();
  await page.locator("#ask textarea").fill("mine");
  await page.locator("#ask").getByRole("button", { name: "Set data" }).click();
  await page.locator("pre", { hasText: "mine" }).waitFor();
  await page.getByRole("button", { name: "Set ACL" }).click();
  await page.locator("#ask").getByLabel("Scheme").fill("auth");
  await page.locator("#ask").getByLabel("Id").fill("");
  await page.locator("#ask").getByRole("button", { name: "Set ACL" }).click();
  await page.locator("td code", { hasText: /^bob:/ }).waitFor();
  assert.equal(await client.set("/brokers/one", "not mine"), -102, "NOAUTH to everybody else");
  await page.getByRole("button", { name: "Delete" }).click();
  await page.locator("#ask").getByRole("button", { name: "Delete" }).click();
  await page.locator(".path", { hasText: /brokers$/ }).waitFor();
  assert.equal(await client.get("/brokers/one"), -101, "NONODE");
});

test("sessions are listed with what they own and watch", async ({ page, open }) => {
  await open("#/sessions");
  await page.locator("tbody tr").nth(9).waitFor();
  const row = page.locator("tbody tr", { hasText: "127.0.0.1" }).filter({ hasText: /11$/ }).first();
  await row.click();
  await page.locator(".paths a", { hasText: "/app/workers/worker-" }).waitFor();
  await page.locator(".paths a", { hasText: "/app/config" }).waitFor();
});

test("top talkers come first", async ({ page, open }) => {
  await open("#/connections");
  await eventually("rates", async () => {
    const rates = await page.locator("tbody tr td:nth-child(3)").allTextContents();
    return rates.length >= 3 && Number(rates[0]) > Number(rates[rates.length - 1]);
  });
});

test("a member that dies is seen, and seen again when it is back", async ({ page, open, ensemble }) => {
  const leader = (await ensemble.overview(0)).members.find((member) => member.mode === "leader").sid - 1;
  const victim = [0, 1, 2].find((n) => n !== leader);
  await open("#/ensemble", leader);
  await eventually("no warnings", async () => (await warnings(page)).length === 0);
  await ensemble.kill(victim);
  await page.getByText(`server ${victim + 1} is not following`).waitFor({ timeout: PATIENCE });
  ensemble.run(victim);
  await eventually("no warnings again", async () => (await warnings(page)).length === 0);
});

async function pictures(browser, ensemble, folder) {
  await pause(100000);
  const leader = (await ensemble.overview(0)).members.find((member) => member.mode === "leader").sid - 1;
  const url = `http://127.0.0.1:${ensemble.members[leader].admin}/console/`;
  for (const [name, hash, colorScheme, height] of [["ensemble", "#/ensemble", "light", 1090], ["ensemble-dark", "#/ensemble", "dark", 1090],
    ["tree", "#/tree/app/config", "light", 820], ["tree-dark", "#/tree/app/config", "dark", 820], ["sessions", "#/sessions", "light", 820],
    ["connections", "#/connections", "dark", 700], ["narrow", "#/ensemble", "light", 900]]) {
    const page = await browser.newPage({ viewport: { width: name === "narrow" ? 420 : 1280, height }, colorScheme });
    await page.goto(`${url}${hash}`);
    if (name.startsWith("tree")) {
      await page.locator("#who").click();
      await page.locator("#user").fill("alice");
      await page.locator("#password").fill("secret");
      await page.locator("#login-ok").click();
    }
    if (name === "sessions") await page.locator("tbody tr").nth(2).click();
    await pause(4500);
    await page.screenshot({ path: join(folder, `${name}.png`) });
    await page.close();
  }
}

async function main() {
  const executablePath = BROWSERS.find((path) => existsSync(path));
  if (!executablePath) throw new Error(`there is no browser: none of ${BROWSERS.join(", ")}`);
  const ensemble = await Ensemble.start();
  let browser;
  let [passed, failed] = [0, 0];
  try {
    const client = await populate(ensemble);
    const rest = await employ(ensemble);
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
    if (process.env.SCREENSHOTS) await pictures(browser, ensemble, process.env.SCREENSHOTS);
    for (const { name, body } of tests) {
      const page = await browser.newPage({ viewport: { width: 1280, height: 820 } });
      page.setDefaultTimeout(PATIENCE);
      const trouble = [];
      page.on("pageerror", (error) => trouble.push(error.message));
      page.on("console", (message) => { if (/Content Security Policy/i.test(message.text())) trouble.push(message.text()); });
      page.on("request", (request) => { if (new URL(request.url()).hostname !== "127.0.0.1") trouble.push(`asked ${request.url()}`); });
      const open = (hash, n = 0) => page.goto(`http://127.0.0.1:${ensemble.members[n].admin}/console/${hash}`);
      const logIn = async (user, password) => {
        await page.locator("#who").click();
        await page.locator("#user").fill(user);
        await page.locator("#password").fill(password);
        await page.locator("#login-ok").click();
        await page.locator("#login").waitFor({ state: "hidden" });
      };
      try {
        await body({ page, open, logIn, ensemble, client });
        assert.deepEqual(trouble, [], "the browser complained");
        passed += 1;
        console.log(`ok      ${name}`);
      } catch (error) {
        failed += 1;
        console.log(`FAILED  ${name}: ${error.message.split("\n").slice(0, 6).join(" | ")}`);
        if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `failed-${failed}.png`) });
      }
      await page.close();
    }
    await rest();
    client.close();
  } catch (error) {
    failed += 1;
    console.log(`FAILED  the suite: ${error.message}`);
  } finally {
    await browser?.close();
    await ensemble.stop();
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

await main();
