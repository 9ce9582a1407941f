"""Tests that need sshd and don't find it: skipped, or failed where they must run."""

import pytest
import sshd


def test_tests_without_an_sshd_are_skipped_or_fail(monkeypatch):
    monkeypatch.setattr(sshd, "SSHD", None)
    monkeypatch.delenv("HAT_TESTS_NEED_SSHD", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install openssh-server"):
        sshd.need_sshd()
    monkeypatch.setenv("HAT_TESTS_NEED_SSHD", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install openssh-server"):
        sshd.need_sshd()
