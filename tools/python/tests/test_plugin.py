"""The fixtures, in test runs of their own; and that what README.md shows works."""

import os
import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_fixtures_give_servers_and_paths_of_ones_own(pytester):
    pytester.makeini("[pytest]\nzookeeper_parameters =\n    tickTime=700\n    maxClientCnxns=99\n")
    pytester.makepyfile(
        """
        import pytest
        from kazoo.client import KazooClient

        seen = []

        @pytest.mark.parametrize("time", [1, 2])
        def test_paths(zk_chroot, zookeeper, time):
            zk = KazooClient(hosts=zk_chroot)
            zk.start()
            assert zk.get_children("/") == []
            zk.create("/a/b/c", makepath=True)
            zk.stop()
            assert zk_chroot.startswith(zookeeper.hosts + "/test_paths")
            seen.append(zk_chroot)

        def test_nothing_is_left(zookeeper):
            zk = KazooClient(hosts=zookeeper.hosts)
            zk.start()
            assert zk.get_children("/") == ["zookeeper"]
            zk.stop()
            assert len(set(seen)) == 2
            assert "tickTime=700" in zookeeper.four_letter("conf")

        def test_the_next_test_has_a_server_whatever_happens_to_it(zookeeper):
            zookeeper.stop()

        def test_next(zk_chroot):
            zk = KazooClient(hosts=zk_chroot)
            zk.start()
            assert zk.exists("/")
            zk.stop()

        def test_ensemble(zookeeper_ensemble):
            zookeeper_ensemble.leader().kill()
            assert zookeeper_ensemble.leader()
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=6)


def test_a_wrong_parameter_is_an_error_of_the_test_with_the_servers_message(pytester):
    pytester.makeini("[pytest]\nzookeeper_parameters = tickTime=2s\n")
    pytester.makepyfile("def test_it(zookeeper): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*StartError: the server did not start*tickTime=2s: allowed is*"])


def test_the_readmes_examples_work(pytester):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    for number, block in enumerate(blocks):
        pytester.makepyfile(**{f"test_example_{number}": block})
        if "def test_" not in block:
            # A script: it has done its work when it is imported.
            pytester.makepyfile(**{f"test_example_{number}": f"{block}\n\ndef test_it(): pass\n"})
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == 0, os.linesep.join(result.outlines)
