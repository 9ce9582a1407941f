"""Tests compute on one thread: several threads of tiny products wait for each other, all the more on a busy machine."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch, onnxruntime and every command that a test starts
