"""Where the data lies that tests read but the repository doesn't hold."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_data(*parts):
    """Path inside the folder named by HAT_SHARED_DATA (default ../shared/data); skips the test if absent."""
    folder = Path(os.environ.get("HAT_SHARED_DATA", ROOT.parent / "shared" / "data"))
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent; set HAT_SHARED_DATA to the folder that holds it")
    return path
