"""Fixtures of helpers that tests of this folder use."""

from sshd import ssh_server

__all__ = ["ssh_server"]
