// The Node client at work while servers and networks fail: it raises a counter, appends entries and keeps an
// ephemeral node. A line `check NAME` on its standard input makes it compare what it was told with what is
// there; the end of the input ends it.
import readline from 'node:readline';
import zookeeper from 'node-zookeeper-client';

const ADDR = process.env.ZK_ADDR ?? '127.0.0.1:2181';
const ROOT = `/patient-node-${process.pid}-${Date.now()}`;
const WAIT = 40_000;
const { CreateMode } = zookeeper;

function check(ok, message) {
  if (!ok) throw new Error(message);
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// What leaves open whether a write was done.
class Lost extends Error {}

let client;
let sessions = 0;
let expired = false;

function connect() {
  client = zookeeper.createClient(ADDR, { sessionTimeout: 20_000, retries: 0 });
  client.on('expired', () => { expired = true; });
  const up = new Promise((resolve) => client.once('connected', resolve));
  client.connect();
  sessions += 1;
  return up;
}

// Calls a method whose callback is (error, ...results) and resolves to the results.
function call(method, ...args) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Lost(`${method}: no answer`)), 30_000);
    client[method](...args, (error, ...results) => {
      clearTimeout(late);
      const name = error?.name ?? error?.getName?.();
      if (!error) resolve(results);
      else if (['CONNECTION_LOSS', 'SESSION_EXPIRED', 'SESSION_MOVED'].includes(name)) reject(new Lost(name));
      else reject(Object.assign(new Error(`${method}: ${error}`), { code: name }));
    });
  });
}

// Tries until there is an answer.
async function patiently(...request) {
  for (const end = Date.now() + WAIT; ; await pause(50)) {
    try {
      return await call(...request);
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      check(Date.now() < end, `no answer within ${WAIT} ms: ${error.message}`);
      await renew();
    }
  }
}

const session = () => client.getSessionId().toString('hex');
const alive = () => `${ROOT}/alive-${sessions}`;

async function own() {
  try {
    await patiently('create', alive(), CreateMode.EPHEMERAL);
  } catch (error) {
    check(error.code === 'NODE_EXISTS', error.message);
  }
}

// Takes up work in a new session when the old one has expired.
async function renew() {
  if (!expired) return;
  expired = false;
  client.close();
  await connect();
  await own();
}

// The path of each entry that was sent, null while nobody knows whether it is there.
const entries = [];
let [acknowledged, doubtful, settled, before, checked] = [0, 0, 0, 0, 0];
let [lastValue, lastNumber] = [0, -1];

function sensible(data, stat) {
  const value = Number(data.toString());
  check(value === stat.version, `the counter is ${value} in version ${stat.version}`);
  check(acknowledged <= value && value <= acknowledged + doubtful,
    `the counter is ${value}, ${acknowledged} acknowledged, ${doubtful} in doubt`);
  return value;
}

// One write of the counter and one entry, each tried once.
async function step() {
  try {
    await renew();
    const value = sensible(...await call('getData', ROOT));
    check(value >= lastValue, `the counter went from ${lastValue} back to ${value}`);
    lastValue = value;
    doubtful += 1;
    try {
      await call('setData', ROOT, Buffer.from(String(value + 1)), value);
      doubtful -= 1;
      acknowledged += 1;
      settled = doubtful;
    } catch (error) {
      if (error.code !== 'BAD_VERSION') throw error;
      doubtful -= 1;
      check(doubtful > settled, `another version than ${value}, and no write was in doubt`);
    }
    const number = entries.push(null) - 1;
    [entries[number]] = await call('create', `${ROOT}/log/e-`, Buffer.from(String(number)),
      CreateMode.PERSISTENT_SEQUENTIAL);
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    await pause(50);
  }
}

async function checkEntries() {
  const [children] = await patiently('getChildren', `${ROOT}/log`);
  const names = children.sort();
  const there = new Set(names.map((name) => `${ROOT}/log/${name}`));
  const gone = entries.find((path) => path && !there.has(path));
  check(!gone, `${gone} was acknowledged and is gone`);
  for (const name of names.slice(checked)) {
    const path = `${ROOT}/log/${name}`;
    const [data] = await patiently('getData', path);
    const number = Number(data.toString());
    check(number > lastNumber && number < entries.length, `${path} holds ${number} behind ${lastNumber}`);
    check([null, path].includes(entries[number]), `${path} holds what went to ${entries[number]}`);
    entries[number] = path;
    lastNumber = number;
  }
  checked = names.length;
}

// Compares all that was acknowledged with what is there.
async function compare() {
  for (const end = Date.now() + WAIT; acknowledged === before;) {
    check(Date.now() < end, 'no write was acknowledged since the last check');
    await step();
  }
  // The client has no sync; a write comes behind all that was committed.
  await patiently('setData', `${ROOT}/log`, Buffer.from('sync'));
  const value = sensible(...await patiently('getData', ROOT));
  before = acknowledged;
  await checkEntries();
  const [stat] = await patiently('exists', alive());
  check(stat, 'the ephemeral node of the living session is gone');
  check(stat.ephemeralOwner.toString('hex') === session(), 'another session owns the ephemeral node');
  for (let old = 1; old < sessions; old += 1) {
    const [left] = await patiently('exists', `${ROOT}/alive-${old}`);
    check(!left, `${ROOT}/alive-${old} outlived its session`);
  }
  return `counter ${value}, ${acknowledged} acknowledged, ${doubtful} in doubt, ${entries.length} entries, `
    + `sessions: ${sessions}`;
}

const lines = [];
let ended = false;
readline.createInterface({ input: process.stdin })
  .on('line', (line) => lines.push(line.replace(/^check /, '')))
  .on('close', () => { ended = true; });

await connect();
await patiently('create', ROOT, Buffer.from('0'));
await patiently('create', `${ROOT}/log`);
await own();
console.log('ready');
let [passed, failed, broken] = [0, 0, null];
while (!ended || lines.length > 0) {
  const name = lines.shift();
  if (name === undefined) {
    await step().catch((error) => { broken ??= error; });
    await pause(20);
    continue;
  }
  try {
    if (broken) throw broken;
    const said = await compare();
    passed += 1;
    console.log(`ok ${name}: ${said}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${String(error?.message ?? error).replaceAll('\n', ' ')}`);
  }
}
client.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
