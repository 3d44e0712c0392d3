"""Counts for ``cargo xtask``: the last line says how many tests passed and failed."""

pytest_plugins = ["pytester"]


def pytest_terminal_summary(terminalreporter):
    stats = terminalreporter.stats
    passed = len(stats.get("passed", []))
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    terminalreporter.write_line(f"{passed} passed, {failed} failed")
