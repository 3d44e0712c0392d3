"""A real ZooKeeper server for tests and development, in milliseconds.

``ZooServer`` is one server, ``ZooEnsemble`` several that form an ensemble; ``zoo.pytest_plugin`` has
fixtures of both.
"""

from zoo.binary import find_binary
from zoo.ensemble import ZooEnsemble
from zoo.server import StartError, ZooServer

__all__ = ["StartError", "ZooEnsemble", "ZooServer", "find_binary"]
