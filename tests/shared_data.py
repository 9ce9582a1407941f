"""Where reference data lies: in tests/data, and in a folder beside the repository for what is too large for it."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "tests" / "data"
SHARED = Path(os.environ.get("HAT_SHARED_DATA", ROOT.parent / "shared" / "data"))


def shared_data(*parts):
    """Path inside the folder named by HAT_SHARED_DATA (default ../shared/data); skips the test if absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent; set HAT_SHARED_DATA to the folder that holds it")
    return path


def reference_files(folder, pattern):
    """The files of tests/data/FOLDER, and those of the shared FOLDER too, where there is one."""
    return [path for place in (SHIPPED, SHARED) for path in sorted((place / folder).glob(pattern))]
