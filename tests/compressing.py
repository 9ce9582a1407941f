"""hat-compress as tests call it, and what they say of any task's networks alike."""

import pytest

from hat.cli import compress


def call(run, *arguments):
    compress.main([*arguments, "--run", str(run.path), "--threads", "1"])


def refused(capsys, run, *arguments):
    """(exit status, error line)"""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        call(run, *arguments)
    (line,) = capsys.readouterr().err.splitlines()
    return ended.value.code, line


def assert_latency_is_met_and_the_rate_found_once(run, capsys):
    """Of the network full."""
    call(run, "full", "--latency", "400%", "--name", "quick")
    assert "quick takes" in capsys.readouterr().out
    call(run, "full", "--latency", "400%", "--name", "quick")
    again = capsys.readouterr().out
    assert "quick is up to date" in again
    assert "rate" not in again
