"""Tests of the data write into a scratch folder of their own."""

import pytest
from preparing import text

__all__ = ["text"]


@pytest.fixture(autouse=True)
def _inside_scratch_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
