"""onnxruntime sessions."""

import onnxruntime


def make_session(model, threads):
    """An onnxruntime session on the CPU for a file's path or a serialised model, with `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_mem_pattern = False  # shapes grow with every step, so no pattern is met twice
    options.log_severity_level = 3
    # Exact int8 products on processors without VNNI, where signed weights could overflow.
    options.add_session_config_entry("session.x64quantprecision", "1")
    model = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
