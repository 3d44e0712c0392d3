"""Owns the pytest fixtures. pytest finds them by the package's entry point."""

import re
import uuid
from typing import Iterator

import pytest

from zoo._wire import Session
from zoo.ensemble import ZooEnsemble
from zoo.server import ZooServer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "zookeeper_parameters",
        "keys of zoo.cfg for the fixtures zookeeper and zookeeper_ensemble, key=value, one a line",
        type="linelist",
        default=[],
    )


@pytest.fixture(scope="session")
def zookeeper(pytestconfig: pytest.Config) -> Iterator[ZooServer]:
    """A ZooKeeper server for all tests of the run (of each worker, with pytest-xdist)."""
    server = ZooServer()
    for line in pytestconfig.getini("zookeeper_parameters"):
        server.set_parameter(line)
    with server:
        yield server


@pytest.fixture
def zk_chroot(zookeeper: ZooServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where clients connect, with a path of the test's own that exists and is removed after it."""
    # A test may have stopped the server that all share.
    zookeeper.start()
    name = re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)[:60]
    path = f"/{name}-{uuid.uuid4().hex[:8]}"
    address = (zookeeper.host, zookeeper.port)
    with Session(address) as session:
        session.create(path)
    yield f"{zookeeper.hosts}{path}"
    if zookeeper.is_running:
        with Session(address) as session:
            session.delete_tree(path)


@pytest.fixture
def zookeeper_ensemble(pytestconfig: pytest.Config) -> Iterator[ZooEnsemble]:
    """An ensemble of three for one test, which may kill its members."""
    ensemble = ZooEnsemble(3)
    for line in pytestconfig.getini("zookeeper_parameters"):
        ensemble.set_parameter(line)
    with ensemble:
        yield ensemble
