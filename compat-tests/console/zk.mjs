// A ZooKeeper client as small as the test of the console needs it: create, watch, addauth, ping.

import { connect } from "node:net";

/** What requests come to whose connection is gone. */
export const CONNECTIONLOSS = -4;

const OP = { create: 1, getData: 4, setData: 5, ping: 11, auth: 100 };

class Writer {
  constructor() { this.parts = []; }
  int(value) { const b = Buffer.alloc(4); b.writeInt32BE(value); this.parts.push(b); return this; }
  long(value) { const b = Buffer.alloc(8); b.writeBigInt64BE(BigInt(value)); this.parts.push(b); return this; }
  bool(value) { this.parts.push(Buffer.from([value ? 1 : 0])); return this; }
  buffer(value) { const b = Buffer.from(value); this.int(b.length); this.parts.push(b); return this; }
  done() { return Buffer.concat(this.parts); }
}

export class Client {
  /** Opens a session at `port`. */
  static open(port, timeout = 20000) {
    const client = new Client();
    client.socket = connect(port, "127.0.0.1");
    client.waiting = [];
    client.input = Buffer.alloc(0);
    client.xid = 0;
    return new Promise((resolve, reject) => {
      client.socket.on("error", reject);
      client.socket.on("close", () => {
        client.lost = true;
        clearInterval(client.pings);
        client.waiting.splice(0).forEach((done) => done(CONNECTIONLOSS));
        reject(new Error("closed"));
      });
      client.greeted = (frame) => {
        client.session = frame.readBigInt64BE(8);
        client.pings = setInterval(() => client.send(-2, OP.ping, Buffer.alloc(0)), timeout / 4);
        resolve(client);
      };
      client.socket.on("data", (data) => client.read(data));
      client.frame(new Writer().int(0).long(0).int(timeout).long(0).buffer(Buffer.alloc(16)).bool(false).done());
    });
  }

  frame(body) { this.socket.write(new Writer().buffer(body).done()); }

  send(xid, op, body) { this.frame(Buffer.concat([new Writer().int(xid).int(op).done(), body])); }

  read(data) {
    this.input = Buffer.concat([this.input, data]);
    while (this.input.length >= 4 && this.input.length >= 4 + this.input.readInt32BE(0)) {
      const end = 4 + this.input.readInt32BE(0);
      const frame = this.input.subarray(4, end);
      this.input = this.input.subarray(end);
      if (this.greeted) {
        this.greeted(frame);
        this.greeted = null;
        continue;
      }
      if (frame.readInt32BE(0) < 0 && frame.readInt32BE(0) !== -4) continue;
      this.waiting.shift()?.(frame.readInt32BE(12));
    }
  }

  /** Resolves with the error code. */
  call(op, body, xid) {
    if (this.lost) return Promise.resolve(CONNECTIONLOSS);
    this.send(xid ?? (this.xid += 1), op, body);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  create(path, data = "", { ephemeral = false, acl = [[31, "world", "anyone"]] } = {}) {
    const body = new Writer().buffer(path).buffer(data).int(acl.length);
    for (const [perms, scheme, id] of acl) body.int(perms).buffer(scheme).buffer(id);
    return this.call(OP.create, body.int(ephemeral ? 1 : 0).done());
  }

  set(path, data) { return this.call(OP.setData, new Writer().buffer(path).buffer(data).int(-1).done()); }

  get(path, watch = false) { return this.call(OP.getData, new Writer().buffer(path).bool(watch).done()); }

  auth(user) { return this.call(OP.auth, new Writer().int(0).buffer("digest").buffer(user).done(), -4); }

  close() { this.socket.destroy(); }
}
