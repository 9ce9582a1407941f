"""onnxruntime sessions, on the processor or on an NVIDIA GPU."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from hat.errors import ArtifactError, HatError, UsageError

# A sum and a layer norm take onnxruntime several times as long fused as one by one.
SLOW_FUSIONS = ["SkipLayerNormFusion"]
ACCELERATORS = ("cpu", "cuda")
CUDA = "CUDAExecutionProvider"
# A key of a graph's metadata: its int8 weights are such that no processor's products overflow.
UNSATURATED = "unsaturated_int8"
METADATA_BYTES = 1024  # that they take at most
# TensorFloat-32 would round products to 10 bits; what was checked at the export is to be what runs.
CUDA_OPTIONS = {"use_tf32": "0"}
CUDA_REMEDY = (
    "install it: pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]>=1.21'; "
    "an NVIDIA GPU and its driver are needed (see nvidia-smi)"
)


class Sessions:
    """The sessions of a bundle's graphs, opened when first asked for; may be shared between threads.

    `models` {name: file's path or serialised model}; each session computes with `threads` threads, or on the
    accelerator "cuda". Raises ArtifactError for a model that can't be run, UsageError where CUDA can't be used.
    """

    def __init__(self, models: Mapping[str, Path | str | bytes], threads: int, accelerator: str = "cpu") -> None:
        self._models, self._threads, self._accelerator = models, threads, accelerator
        self._opened: dict[str, onnxruntime.InferenceSession] = {}
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._models

    def __getitem__(self, name: str) -> onnxruntime.InferenceSession:
        with self._lock:
            if name not in self._opened:
                self._opened[name] = self._open(self._models[name])
            return self._opened[name]

    def _open(self, model: Path | str | bytes) -> onnxruntime.InferenceSession:
        try:
            return make_session(model, self._threads, self._accelerator)
        except HatError:
            raise
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            reason = " ".join(str(error).split())
            source = "the graph" if isinstance(model, bytes) else model
            raise ArtifactError(f"{source}: onnxruntime can't run it ({reason}); try a newer onnxruntime") from None


def make_session(model: Path | str | bytes, threads: int, accelerator: str = "cpu") -> onnxruntime.InferenceSession:
    """An onnxruntime session for a file's path or a serialised model, with `threads` threads on the processor.

    With accelerator "cuda" on the first GPU; inputs and outputs stay in the processor's memory, and a run returns when
    the GPU has finished. Raises UsageError where CUDA can't be used: onnxruntime alone would go on without it.
    """
    providers = _providers(accelerator)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_mem_pattern = False  # shapes grow with every step, so no pattern is met twice
    options.log_severity_level = 3
    if may_overflow(model):
        options.add_session_config_entry("session.x64quantprecision", "1")
    model = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(model, options, providers=providers, disabled_optimizers=SLOW_FUSIONS)
    if accelerator == "cuda" and CUDA not in session.get_providers():
        raise UsageError(f"onnxruntime's CUDA provider finds no GPU, or not its libraries; {CUDA_REMEDY}")
    return session


def _providers(accelerator: str) -> list[Any]:
    """What onnxruntime is to run on, most wanted first."""
    if accelerator not in ACCELERATORS:
        raise UsageError(f"accelerator {accelerator!r} is not one of {', '.join(ACCELERATORS)}")
    if accelerator == "cpu":
        return ["CPUExecutionProvider"]
    if CUDA not in onnxruntime.get_available_providers():
        raise UsageError(f"onnxruntime {onnxruntime.__version__} here is without the CUDA provider; {CUDA_REMEDY}")
    if hasattr(onnxruntime, "preload_dlls"):  # CUDA's libraries from where pip put them
        onnxruntime.preload_dlls()
    return [(CUDA, CUDA_OPTIONS), "CPUExecutionProvider"]


def may_overflow(model: Path | str | bytes) -> bool:
    """Whether int8 products of a model, given as to `make_session`, could overflow here, and need a slower exact way.

    onnxruntime has it for a graph's own products, not for those in the body of a Loop. Graphs that we make today need
    it nowhere; those of earlier translators' bundles need it on x86 without VNNI.
    """
    return may_saturate() and not _is_unsaturated(model)


def _is_unsaturated(model: Path | str | bytes) -> bool:
    """Whether the metadata of a model, given as to `make_session`, have the key UNSATURATED; they come last in it."""
    if isinstance(model, bytes):
        return UNSATURATED.encode() in model[-METADATA_BYTES:]
    with open(model, "rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - METADATA_BYTES))
        return UNSATURATED.encode() in handle.read()


def may_saturate() -> bool:
    """Whether this processor may add two products of uint8 and int8 up in 16 bits: x86 without VNNI."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        return "vnni" not in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return True
