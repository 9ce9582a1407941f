"""Fixtures of helpers that tests of this folder use."""

from fake_agents import fake_bench
from sshd import ssh_server

__all__ = ["fake_bench", "ssh_server"]
