// Three members of Menagerie on free ports, in directories that go with the test.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = new URL("../../target/release/menagerie", import.meta.url).pathname;

async function freePorts(count) {
  const servers = [];
  for (let n = 0; n < count; n += 1) {
    const server = createServer();
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.push(server);
  }
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export class Ensemble {
  static async start() {
    const ensemble = new Ensemble();
    ensemble.folder = mkdtempSync(join(tmpdir(), "menagerie-console-"));
    const ports = await freePorts(12);
    const at = (n) => ports.slice(n * 4, n * 4 + 4);
    const lines = [0, 1, 2].map((n) => { const [quorum, election, client] = at(n); return `server.${n + 1}=127.0.0.1:${quorum}:${election}:participant;127.0.0.1:${client}`; });
    ensemble.members = [0, 1, 2].map((n) => {
      const data = join(ensemble.folder, `data${n + 1}`);
      mkdirSync(data);
      writeFileSync(join(data, "myid"), `${n + 1}\n`);
      const config = join(ensemble.folder, `zoo${n + 1}.cfg`);
      writeFileSync(config, [`dataDir=${data}`, "tickTime=1000", "initLimit=10", "syncLimit=5", "maxClientCnxns=0", "admin.serverAddress=127.0.0.1",
        `admin.serverPort=${at(n)[3]}`, "menagerie.console.enabled=true", ...lines, ""].join("\n"));
      return { config, client: at(n)[2], admin: at(n)[3], process: null };
    });
    ensemble.members.forEach((_, n) => ensemble.run(n));
    return ensemble;
  }

  run(n) {
    const member = this.members[n];
    const log = openSync(join(this.folder, `log${n + 1}`), "a");
    // It ends when this process does, however that ends.
    member.process = spawn(BINARY, ["--stop-with-stdin", member.config], { stdio: ["pipe", "ignore", log] });
  }

  kill(n) {
    const { process } = this.members[n];
    return new Promise((resolve) => { process.on("exit", resolve); process.kill("SIGKILL"); });
  }

  async stop() {
    for (const { process } of this.members) if (process.exitCode === null && process.signalCode === null) process.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  async overview(n) {
    const response = await fetch(`http://127.0.0.1:${this.members[n].admin}/console/api/overview`);
    return response.json();
  }
}
