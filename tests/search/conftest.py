"""A run directory of the toy search space."""

import pytest
import yaml
from search_toys import CONFIG

from hat.experiment.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path, monkeypatch):
    """An empty run directory with the config of search_toys; the working directory is the test's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(CONFIG))
    return RunDirectory.create(tmp_path / "toy.yaml")
