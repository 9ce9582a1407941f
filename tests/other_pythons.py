"""Other Pythons than the one that runs the tests, and environments with a few packages only."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def find_python(version):
    """Path of a Python of this version ("3.9") that runs, from PATH or pyenv; None if there is none."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for path in [shutil.which(f"python{version}"), *kept]:
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(path)
    return None


def fresh_python(folder, packages):
    """The interpreter of a new virtual environment with `packages`, Python 3.9 where it is there.

    Skips the test where pip has no index.
    """
    subprocess.run([find_python("3.9") or sys.executable, "-m", "venv", folder], check=True)
    python = Path(folder) / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile", *packages]
    installed = subprocess.run(install, capture_output=True, check=False, text=True, timeout=600)
    if installed.returncode:
        pytest.skip(f"pip can't install here: {installed.stderr.splitlines()[-1:]}")
    return str(python)
