"""onnxruntime sessions."""

import platform
import threading
from pathlib import Path

import onnxruntime

from hat.errors import ArtifactError

# A sum and a layer norm take onnxruntime several times as long fused as one by one.
SLOW_FUSIONS = ["SkipLayerNormFusion"]


class Sessions:
    """The sessions of a translator's graphs, opened when first asked for; may be shared between threads.

    `models` {name: file's path or serialised model}; each session computes with `threads` threads. Raises ArtifactError
    for a model that can't be run.
    """

    def __init__(self, models, threads):
        self._models, self._threads = models, threads
        self._opened, self._lock = {}, threading.Lock()

    def __contains__(self, name):
        return name in self._models

    def __getitem__(self, name):
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._open(self._models[name])
            return self._opened[name]

    def _open(self, model):
        try:
            return make_session(model, self._threads)
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            reason = " ".join(str(error).split())
            source = "the graph" if isinstance(model, bytes) else model
            raise ArtifactError(f"{source}: onnxruntime can't run it ({reason}); try a newer onnxruntime") from None


def make_session(model, threads):
    """An onnxruntime session on the CPU for a file's path or a serialised model, with `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_mem_pattern = False  # shapes grow with every step, so no pattern is met twice
    options.log_severity_level = 3
    if _may_saturate():
        options.add_session_config_entry("session.x64quantprecision", "1")
    model = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW_FUSIONS
    )


def _may_saturate():
    """Whether int8 products could overflow, as they do on x86 without VNNI, and need a slower exact way."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        return "vnni" not in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return True
