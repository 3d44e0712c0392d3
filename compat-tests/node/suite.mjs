// The Node client against the server at ZK_ADDR: one line a test, then the totals.
import net from 'node:net';
import zookeeper from 'node-zookeeper-client';

const ADDR = process.env.ZK_ADDR ?? '127.0.0.1:2181';
const ROOT = `/node-${process.pid}-${Date.now()}`;
const WAIT = 15_000;
const { CreateMode, Event, Exception, ACL, Permission, Id } = zookeeper;

function check(ok, message) {
  if (!ok) throw new Error(message);
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${WAIT} ms: ${what}`)), WAIT);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function connect(sessionTimeout = 6000) {
  const client = zookeeper.createClient(ADDR, { sessionTimeout, retries: 0 });
  const up = new Promise((resolve) => client.once('connected', resolve));
  client.connect();
  return within(up, 'a session').then(() => client);
}

// Calls a method whose callback is (error, ...results) and resolves to the results.
function call(client, method, ...args) {
  const done = new Promise((resolve, reject) => {
    client[method](...args, (error, ...results) => (error ? reject(error) : resolve(results)));
  });
  return within(done, method);
}

async function fails(name, promise) {
  const outcome = await promise.then(() => 'success', (error) => error);
  check(outcome?.name === name || outcome?.getName?.() === name, `${name} expected, got ${outcome}`);
}

let counter = 0;
const fresh = (name) => `${ROOT}/${name}-${(counter += 1)}`;

function control(command) {
  const [host, port] = (process.env.ZK_CONTROL ?? '').split(':');
  check(port, 'ZK_CONTROL is not set; the server cannot be restarted');
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), host, () => socket.write(`${command}\n`));
    socket.setTimeout(60_000, () => reject(new Error('control does not answer')));
    socket.once('error', reject);
    socket.once('data', (data) => {
      socket.end();
      data.toString().trim() === 'ok' ? resolve() : reject(new Error(`control answers ${data}`));
    });
  });
}

const tests = {
  async nodes_of_all_kinds(client) {
    const p = fresh('kinds');
    const [made] = await call(client, 'create', p, Buffer.from('data'));
    check(made === p, made);
    const [data, stat] = await call(client, 'getData', p);
    check(data.toString() === 'data' && stat.version === 0 && stat.dataLength === 4, `${data} ${stat}`);
    for (let i = 0; i < 3; i += 1) {
      const [s] = await call(client, 'create', `${p}/s-`, CreateMode.PERSISTENT_SEQUENTIAL);
      check(s === `${p}/s-${String(i).padStart(10, '0')}`, s);
    }
    const [e] = await call(client, 'create', `${p}/e-`, CreateMode.EPHEMERAL_SEQUENTIAL);
    const [owned] = await call(client, 'exists', e);
    check(owned.ephemeralOwner.equals(client.getSessionId()), 'the session does not own its node');
    await fails('NO_CHILDREN_FOR_EPHEMERALS', call(client, 'create', `${e}/c`));
    const [children, after] = await call(client, 'getChildren', p);
    check(children.length === 4 && after.numChildren === 4 && after.cversion === 4, `${children}`);
    await call(client, 'mkdirp', `${p}/a/b/c`);
    const [deep] = await call(client, 'exists', `${p}/a/b/c`);
    check(deep, 'mkdirp');
    await call(client, 'removeRecursive', `${p}/a/b`);
    const [gone] = await call(client, 'exists', `${p}/a/b`);
    check(!gone, 'still there');
  },

  async versions_and_errors(client) {
    const p = fresh('errors');
    await fails('NO_NODE', call(client, 'getData', p));
    await fails('NO_NODE', call(client, 'create', `${p}/a`));
    await call(client, 'create', p, Buffer.from('0'));
    await fails('NODE_EXISTS', call(client, 'create', p));
    const [stat] = await call(client, 'setData', p, Buffer.from('1'), 0);
    check(stat.version === 1, `version ${stat.version}`);
    await fails('BAD_VERSION', call(client, 'setData', p, Buffer.from('2'), 0));
    await fails('BAD_VERSION', call(client, 'remove', p, 5));
    await call(client, 'create', `${p}/c`);
    await fails('NOT_EMPTY', call(client, 'remove', p));
  },

  async large_data(client) {
    const p = fresh('large');
    const blob = Buffer.alloc(1_000_000, 'zookeeper');
    await call(client, 'create', p, blob);
    const [data] = await call(client, 'getData', p);
    check(data.equals(blob), `${data.length} bytes came back`);
  },

  async watches(client) {
    const p = fresh('watch');
    const seen = [];
    const note = (event) => seen.push(`${event.getName()} ${event.getPath()}`);
    await call(client, 'exists', p, note);
    await call(client, 'create', p);
    await call(client, 'getData', p, note);
    await call(client, 'setData', p, Buffer.from('1'));
    await call(client, 'getChildren', p, note);
    await call(client, 'create', `${p}/c`);
    await call(client, 'remove', `${p}/c`);
    await call(client, 'exists', p, note);
    await call(client, 'remove', p);
    await call(client, 'exists', ROOT);
    const expected = ['NODE_CREATED', 'NODE_DATA_CHANGED', 'NODE_CHILDREN_CHANGED', 'NODE_DELETED'];
    check(seen.join() === expected.map((name) => `${name} ${p}`).join(), seen.join());
  },

  async acls(client) {
    const p = fresh('acl');
    client.addAuthInfo('digest', Buffer.from('joe:secret'));
    await call(client, 'create', p, Buffer.from('private'), ACL.CREATOR_ALL_ACL);
    const other = await connect();
    try {
      await fails('NO_AUTH', call(other, 'getData', p));
      other.addAuthInfo('digest', Buffer.from('joe:secret'));
      const [data] = await call(other, 'getData', p);
      check(data.toString() === 'private', `${data}`);
    } finally {
      other.close();
    }
    const reading = [new ACL(Permission.READ, new Id('world', 'anyone'))];
    const [stat] = await call(client, 'setACL', p, reading, 0);
    check(stat.aversion === 1, `aversion ${stat.aversion}`);
    const [acl] = await call(client, 'getACL', p);
    check(acl.length === 1 && acl[0].id.scheme === 'world', `${acl}`);
    await fails('NO_AUTH', call(client, 'setData', p, Buffer.from('x')));
  },

  async transactions(client) {
    const p = fresh('txn');
    const commit = (txn) => within(
      new Promise((resolve) => txn.commit((error, results) => resolve([error, results]))), 'commit');
    const [error] = await commit(client.transaction()
      .create(p, Buffer.from('0')).setData(p, Buffer.from('1'), 0).check(p, 1)
      .create(`${p}/c`).remove(`${p}/c`));
    check(!error, `${error}`);
    const [refused] = await commit(client.transaction()
      .setData(p, Buffer.from('2')).remove(`${p}/nowhere`));
    check(refused?.getName?.() === 'NO_NODE', `${refused}`);
    const [data] = await call(client, 'getData', p);
    check(data.toString() === '1', `a failed transaction left ${data}`);
  },

  async closing_deletes_ephemerals(client) {
    const p = fresh('ephemeral');
    const other = await connect();
    await call(other, 'create', p, CreateMode.EPHEMERAL);
    const gone = new Promise((resolve) => client.exists(p, resolve, () => {}));
    await call(client, 'exists', p);
    other.close();
    const event = await within(gone, 'the deletion');
    check(event.getType() === Event.NODE_DELETED, event.getName());
  },

  async fifty_clients_at_once(client) {
    const p = fresh('crowd');
    await call(client, 'create', p);
    const clients = await Promise.all(Array.from({ length: 50 }, () => connect(10_000)));
    await Promise.all(clients.map((c) =>
      call(c, 'create', `${p}/n-`, CreateMode.EPHEMERAL_SEQUENTIAL)));
    const [children] = await call(client, 'getChildren', p);
    check(children.length === 50, `${children.length} children`);
    clients.forEach((c) => c.close());
  },

  a_restart_keeps_session_ephemerals_and_watches: () => restart('restart'),
  a_kill_keeps_session_ephemerals_and_watches: () => restart('kill'),
};

async function restart(command) {
  const client = await connect(20_000);
  try {
    const p = fresh('restart');
    await call(client, 'create', p, Buffer.from('kept'));
    await call(client, 'create', `${p}/e`, CreateMode.EPHEMERAL);
    const changed = new Promise((resolve) => client.getData(p, resolve, () => {}));
    await call(client, 'exists', p);
    const session = client.getSessionId().toString('hex');
    const back = new Promise((resolve) => client.once('connected', resolve));
    await control(command);
    await within(back, 'the reconnection');
    check(client.getSessionId().toString('hex') === session, 'another session');
    const [stat] = await call(client, 'exists', `${p}/e`);
    check(stat && stat.ephemeralOwner.toString('hex') === session, 'the ephemeral node is gone');
    await call(client, 'setData', p, Buffer.from('changed'));
    const event = await within(changed, 'the watch');
    check(event.getType() === Event.NODE_DATA_CHANGED, event.getName());
  } finally {
    client.close();
  }
}

let passed = 0;
let failed = 0;
const client = await connect(20_000);
await call(client, 'create', ROOT);
for (const [name, test] of Object.entries(tests)) {
  try {
    await test(client);
    passed += 1;
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${String(error?.message ?? error).replaceAll('\n', ' ')}`);
  }
}
client.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
