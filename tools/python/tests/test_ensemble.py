"""Ensembles: who leads, members that go and come back, many at a time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from kazoo.client import KazooClient

from zoo import StartError, ZooEnsemble, ZooServer


def client(hosts):
    zk = KazooClient(hosts=hosts, timeout=8.0)
    zk.start(timeout=15)
    return zk


def test_an_ensemble_goes_on_without_its_leader_and_takes_it_back():
    with ZooEnsemble(3) as ensemble:
        zk = client(ensemble.hosts)
        zk.create("/a", b"1")
        first = ensemble.leader()
        assert len(ensemble.followers()) == 2
        first.kill()
        second = ensemble.leader()
        assert second is not first
        zk.retry(zk.set, "/a", b"2")
        first.start()
        ensemble.start()
        assert len(ensemble.followers()) == 2
        own = client(first.hosts)
        own.sync("/a")
        assert own.get("/a")[0] == b"2"
        for one in (own, zk):
            one.stop()
            one.close()
    assert not any(member.is_running for member in ensemble)


def test_without_a_quorum_there_is_no_leader():
    with ZooEnsemble(3) as ensemble:
        ensemble[0].stop()
        ensemble[1].kill()
        with pytest.raises(TimeoutError, match="no leader after 1 s: 1 down, 2 down, 3 looking"):
            # The one that is left takes a moment to notice.
            while True:
                ensemble.leader(timeout=1)
        ensemble.start()
        assert ensemble.leader().myid in (1, 2, 3)


def test_a_restart_keeps_data_and_ports():
    with ZooEnsemble(3) as ensemble:
        hosts = ensemble.hosts
        zk = client(hosts)
        zk.create("/kept")
        ensemble.restart()
        assert ensemble.hosts == hosts
        assert zk.retry(zk.exists, "/kept")
        zk.stop()
        zk.close()


def test_observers_follow_without_a_vote():
    with ZooEnsemble(3, observers=1) as ensemble:
        assert [member.mode for member in ensemble].count("observer") == 1
        assert ensemble[3].mode == "observer"


def test_ensembles_start_in_parallel():
    with ThreadPoolExecutor(3) as pool:
        ensembles = list(pool.map(lambda _: ZooEnsemble(3).start(), range(3)))
    try:
        ports = [member.port for ensemble in ensembles for member in ensemble]
        assert len(set(ports)) == 9
        assert all(ensemble.leader() for ensemble in ensembles)
    finally:
        for ensemble in ensembles:
            ensemble.stop()


def test_parameters_and_classes_of_members():
    class Quick(ZooServer):
        def __init__(self):
            self.set_parameter("tickTime", 300)

    with ZooEnsemble(3, server_class=Quick).set_parameter("maxClientCnxns=9") as ensemble:
        for member in ensemble:
            conf = member.four_letter("conf")
            assert "tickTime=300" in conf and "maxClientCnxns=9" in conf


def test_misuse_is_told():
    with pytest.raises(ValueError, match="at least two members"):
        ZooEnsemble(1)
    ensemble = ZooEnsemble(3).set_parameter("syncLimit", "many")
    with pytest.raises(StartError, match="syncLimit=many"):
        ensemble.start()
    assert not any(member.is_running for member in ensemble)
