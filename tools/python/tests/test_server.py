"""One server: parameters, start and end, and what is told when something is wrong."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kazoo.client import KazooClient

from zoo.server import StartError, ZooServer


class MyServer(ZooServer):
    def __init__(self):
        # On purpose without super().__init__().
        self.set_parameter("tickTime", 500)
        self.set_parameter("maxClientCnxns=7")


class Client:
    def __init__(self, hosts):
        self.zk = KazooClient(hosts=hosts, timeout=5.0)

    def __enter__(self):
        self.zk.start(timeout=15)
        return self.zk

    def __exit__(self, *_):
        self.zk.stop()
        self.zk.close()


def serves(server):
    return server.four_letter("ruok") == "imok"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def await_end(pid, seconds=10):
    end = time.monotonic() + seconds
    while alive(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        time.sleep(0.01)


def test_a_derived_class_has_its_parameters_in_force():
    with MyServer() as server:
        conf = server.four_letter("conf")
        assert "tickTime=500" in conf and "maxClientCnxns=7" in conf
        assert f"clientPort={server.port}" in conf


def test_clients_read_what_they_wrote_and_a_restart_keeps_it():
    with ZooServer() as server:
        port = server.port
        with Client(server.hosts) as zk:
            zk.create("/a/b", b"1", makepath=True)
            server.restart()
            assert server.port == port
            assert zk.retry(zk.get, "/a/b")[0] == b"1"


def test_what_was_written_before_a_kill_is_there_after_the_next_start():
    with ZooServer() as server:
        with Client(server.hosts) as zk:
            zk.create("/kept", b"1")
            server.kill()
            assert not server.is_running and server.exit_status == -signal.SIGKILL
            server.start()
            assert zk.retry(zk.get, "/kept")[0] == b"1"


def test_a_temporary_directory_is_gone_after_stop_and_the_next_start_is_empty():
    server = ZooServer().start()
    directory = server.data_dir
    with Client(server.hosts) as zk:
        zk.create("/gone")
    assert (directory / "version-2").is_dir()
    server.stop()
    assert server.exit_status == 0
    assert not directory.parent.exists()
    assert "SIGTERM" in server.log
    with server, Client(server.hosts) as zk:
        assert zk.exists("/gone") is None


def test_a_directory_of_ones_own_stays(tmp_path):
    data = tmp_path / "däta = 1#\\x"
    for expected in (False, True):
        with ZooServer().set_parameter("dataDir", data) as server, Client(server.hosts) as zk:
            assert bool(zk.exists("/stays")) is expected
            zk.ensure_path("/stays")
    assert (data / "version-2").is_dir()


def test_a_single_server_line_with_a_client_port_is_honoured():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = ZooServer().set_parameter("server.1=localhost:2888:3888;127.0.0.1:%d" % port)
    with server:
        assert server.port == port and server.mode == "standalone"
        with Client(server.connect_string) as zk:
            zk.create("/x")
    server = ZooServer().set_parameter("server.1=localhost:2888:3888")
    with server.set_parameter("clientPort", port):
        assert server.hosts == f"127.0.0.1:{port}"


def test_many_start_in_parallel():
    with ThreadPoolExecutor(8) as pool:
        servers = list(pool.map(lambda _: ZooServer().start(), range(8)))
    try:
        assert len({server.port for server in servers}) == 8
        assert all(serves(server) for server in servers)
    finally:
        for server in servers:
            server.stop()


def test_a_server_outlives_the_thread_that_started_it():
    server = ZooServer()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    time.sleep(0.2)
    try:
        assert serves(server)
    finally:
        server.stop()


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), 9)", "os._exit(3)", "sys.exit(0)", "1/0"])
def test_a_server_ends_with_the_python_process(how):
    code = (
        "import os, sys\nfrom zoo import ZooServer\ns = ZooServer().start()\n"
        f"print(s.pid, s.data_dir.parent, flush=True)\n{how}"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, timeout=60)
    pid, folder = done.stdout.split(maxsplit=1)
    await_end(int(pid))
    if how in ("sys.exit(0)", "1/0"):
        assert not os.path.exists(folder.strip())


def test_a_forked_process_leaves_the_server_alone():
    code = (
        "import os, sys\nfrom zoo import ZooServer\ns = ZooServer().start()\n"
        "child = os.fork()\nif child == 0: sys.exit(0)\nos.waitpid(child, 0)\n"
        "print(s.four_letter('ruok'))"
    )
    run = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.check_output(run, text=True, timeout=60) == "imok\n"


def test_suspended_it_answers_nobody_and_then_it_does():
    with ZooServer() as server:
        server.suspend()
        with pytest.raises(OSError):
            server.four_letter("ruok", timeout=0.3)
        server.resume()
        assert serves(server)
        server.suspend()
    assert server.exit_status == 0


def test_start_and_stop_are_idempotent():
    server = ZooServer()
    server.stop()
    with server:
        pid = server.pid
        assert server.start().pid == pid
    server.stop()
    with pytest.raises(RuntimeError, match="does not run"):
        server.suspend()


# Misuse


def test_a_wrong_value_is_told_in_the_servers_own_words():
    server = ZooServer().set_parameter("tickTime", "2s")
    with pytest.raises(StartError, match=r"zoo\.cfg:\d+: tickTime=2s: allowed is") as caught:
        server.start()
    assert caught.value.status == 2
    assert not server.is_running
    # The object is still good.
    with server.set_parameter("tickTime", 2000):
        assert serves(server)


def test_a_refused_key_is_named():
    with pytest.raises(StartError, match=r"zoo\.cfg:\d+: ssl\.ocsp=true: "):
        ZooServer().set_parameter("ssl.ocsp", "true").start()


def test_a_missing_key_is_named():
    with pytest.raises(StartError, match=r"ssl\.keyStore\.location is not set"):
        ZooServer().set_parameter("secureClientPort", 2281).start()


def test_a_port_in_use_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}"):
            ZooServer().set_parameter("clientPort", port).start()


def test_a_directory_that_another_server_uses_is_named(tmp_path):
    with ZooServer().set_parameter("dataDir", tmp_path):
        with pytest.raises(StartError, match="in use by another server"):
            ZooServer().set_parameter("dataDir", tmp_path).start()


def test_an_ensemble_member_without_a_number_is_told_what_is_missing(tmp_path):
    server = ZooServer().set_parameter("dataDir", tmp_path)
    server.set_parameter("server.1=127.0.0.1:2888:3888").set_parameter("initLimit=5")
    server.set_parameter("server.2=127.0.0.1:2889:3889").set_parameter("syncLimit=2")
    with pytest.raises(StartError, match="myid"):
        server.start()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("tickTime",), "has no value"),
        (("", "1"), "is no key"),
        (("a=b", "1"), "is no key"),
        (("tickTime", None), "None is no value"),
        (("dataDir", "/a\nclientPort=1"), "one line"),
        (("a\nb", "1"), "is no key"),
    ],
)
def test_a_parameter_that_cannot_be_written_is_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        ZooServer().set_parameter(*arguments)


def test_there_is_no_port_before_the_start():
    with pytest.raises(RuntimeError, match="before it is started"):
        ZooServer().port


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_program_that_is_never_ready_is_given_up(tmp_path):
    mute = script(tmp_path / "mute", "echo I am mute >&2; exec sleep 60")
    server = ZooServer(binary=mute, start_timeout=0.5)
    begun = time.monotonic()
    with pytest.raises(StartError, match="not ready within 0.5 s: I am mute"):
        server.start()
    assert time.monotonic() - begun < 10


def test_a_program_that_is_not_there_is_named(tmp_path, monkeypatch):
    with pytest.raises(StartError, match="/nowhere/menagerie cannot be run: No such file"):
        ZooServer(binary="/nowhere/menagerie").start()
    monkeypatch.setenv("MENAGERIE_BINARY", "/nowhere/else")
    with pytest.raises(StartError, match="MENAGERIE_BINARY=/nowhere/else"):
        ZooServer().start()
    dead = script(tmp_path / "dead", "echo last words >&2; exit 3")
    monkeypatch.setenv("MENAGERIE_BINARY", dead)
    with pytest.raises(StartError, match=r"\(exit status 3\): last words"):
        ZooServer().start()


def test_java_flags_of_the_environment_do_not_reach_the_server(monkeypatch):
    monkeypatch.setenv("JVMFLAGS", "-Dzookeeper.maxCnxns=1")
    with ZooServer() as server, Client(server.hosts), Client(server.hosts) as zk:
        assert zk.exists("/")
