"""The agent in one file: what the host sends to a device, where nothing of ours is installed."""

import functools

from hat.deploy.building.one_file import needed_modules, one_file

ENTRY = "latency_predictor.on_device.agent"
PACKAGES = ("hat", "latency_predictor")

# Parsed and run by any Python 3 (no f-strings): an old one must be able to say what is missing.
HEADER = """
import importlib.util
import json
import sys

sys.path[:] = [folder for folder in sys.path if folder]  # not whatever lies in the folder it is started in
missing = [name for name in ("numpy", "onnxruntime") if importlib.util.find_spec(name) is None]
if sys.version_info < (3, 9) or missing:
    python = ".".join(str(number) for number in sys.version_info[:3])
    print(json.dumps({"type": "unusable", "python": python, "missing": missing}), flush=True)
    sys.exit(0)

import importlib.abc
"""

FOOTER = """
from latency_predictor.on_device.agent import main

main()
"""

# What the device's Python is started with: it reads the agent, of known length, and runs it. One line without
# apostrophes and exclamation marks, which passes through any login shell.
BOOT = (
    'import sys; sys.version_info[0] < 3 and sys.exit("it is Python 2; 3.9 is the oldest that will do"); '
    'exec(compile(sys.stdin.buffer.read({size}), "agent", "exec"), '
    '{{"__name__": "__main__", "__file__": "agent"}})'
)


@functools.lru_cache(maxsize=1)
def agent_source() -> str:
    """The Python source of the agent, from the installed modules."""
    return one_file(HEADER, needed_modules(ENTRY, PACKAGES), FOOTER)


def boot_code(source: bytes) -> str:
    """The code for `python -c` that reads the agent's `source`, bytes, from its standard input and runs it."""
    return BOOT.format(size=len(source))
