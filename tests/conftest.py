"""Tests compute on one thread: several threads of tiny products wait for each other, all the more on a busy machine."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch, onnxruntime and every command that a test starts

# transformers, a peer in some tests, would import it; fairseq brings it along, maybe one of another torch.
sys.modules.setdefault("torchaudio", None)
