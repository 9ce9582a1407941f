"""The deployed classifier beside onnxruntime with transformers' own export: the same weights, one core, in turns.

"base" has BERT-base's sizes (12 layers of 768, FFN 3,072, 12 heads), "small" 4 layers of 256; weights are random. The
peer is `torch.onnx.export` of transformers' BertForSequenceClassification, optimised by
`onnxruntime.transformers.optimizer`, then for int8 quantised by `quantize_dynamic`. One sentence at a time, of
SST-2's lengths in tokens. Run by hand on a quiet machine:

    python benchmarks/classifier_speed.py --json classifier.json
"""

import json
import platform
import tempfile
from pathlib import Path

import numpy as np
from classifier_peers import write_peers
from one_core import benchmark_parser, in_turns, parsed

from hat.architecture.stacks import Architecture, EncoderArchitecture
from hat.cli.common import positive_int

# Every tenth quantile of SST-2's 872 test sentences: words, marks, and the two tokens around them.
LENGTHS = [4, 11, 14, 17, 19, 22, 25, 28, 31, 36, 52]
SIZES = {"base": (12, 768, 3072, 12, 30522), "small": (4, 256, 1024, 4, 16000)}
PRECISIONS = ("fp32", "int8")
CALIBRATION_TEXTS = 5
SEED = 1


class Benchmark:
    """One network in all its forms, under `folder`."""

    def __init__(self, name, folder):
        layers, dim, ffn_dim, heads, vocabulary = SIZES[name]
        encoder = EncoderArchitecture(dim, (ffn_dim,) * layers, (heads,) * layers)
        self._architecture = Architecture(dim, encoder)
        self._spec, self._weights = write_peers(folder, self._architecture, vocabulary, SEED)
        self.contestants = {}
        for precision in PRECISIONS:
            self.contestants[f"peer {precision}"] = _peer(folder / f"{precision}.onnx")
            self.contestants[f"HAT {precision}"] = self._hat(precision)

    def _hat(self, precision):
        """A function from token ids to logits by the graph that a bundle holds, in a session as a bundle's."""
        from hat.config import to_mapping
        from hat.deploy.building.classifier_graph import build_classifier_graphs
        from hat.deploy.classifier import graph_inputs
        from hat.deploy.sessions import make_session
        from hat.export.classification.calibration import calibrate_classifier

        model = self._architecture, self._spec, self._weights
        ranges = calibrate_classifier(*model, self.texts(CALIBRATION_TEXTS)) if precision == "int8" else None
        graph = build_classifier_graphs(*model, precision, ranges)["classifier"]
        session, spec = make_session(graph.SerializeToString(), 1), to_mapping(self._spec)
        return lambda ids: session.run(None, graph_inputs([ids], spec))[0]

    def texts(self, count):
        """Lists of ids as long as SST-2's sentences."""
        sizes = np.rint(np.interp((np.arange(count) + 0.5) / count, np.linspace(0, 1, len(LENGTHS)), LENGTHS))
        words = np.random.default_rng(SEED).integers(1000, self._spec.vocabulary, (count, max(LENGTHS))).tolist()
        first, last = self._spec.first, self._spec.separator
        return [[first, *ids[: int(size) - 2], last] for ids, size in zip(words, sizes, strict=True)]

    def run(self, count, rounds):
        """{contestant: milliseconds of each of `count` texts}, the medians of `rounds` turns after a warm-up."""
        return in_turns(self.contestants, self.texts(count), rounds)


def _peer(path):
    """A function from token ids to logits by an optimised export."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def classify(ids):
        tokens = np.array([ids])
        inputs = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "token_type_ids": np.zeros_like(tokens)}
        return session.run(None, inputs)[0]

    return classify


def ratios(results):
    """HAT's time over that of its peer, all texts together, of each network and precision."""
    return {
        f"{name}_{precision}": float(times[f"HAT {precision}"].sum() / times[f"peer {precision}"].sum())
        for name, times in results.items()
        for precision in PRECISIONS
    }


def main():
    options = _options()
    results = {}
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name}: making models", flush=True)
            results[name] = Benchmark(name, Path(folder)).run(options.texts, options.rounds)
        for contestant, times in results[name].items():
            print(f"  {contestant:10} median {np.median(times):7.2f} ms  mean {times.mean():7.2f} ms", flush=True)
    found = ratios(results)
    print("HAT / peer: " + ", ".join(f"{name} {ratio:.3f}" for name, ratio in found.items()))
    if options.json:
        means = {name: {key: float(times.mean()) for key, times in each.items()} for name, each in results.items()}
        figures = {"machine": platform.processor() or platform.machine(), "mean_ms": means, "ratios": found}
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _options():
    parser = benchmark_parser(__doc__.split("\n\n")[0], SIZES, 15, "all texts")
    parser.add_argument("--texts", type=positive_int, default=20, metavar="N", help="of SST-2's lengths")
    return parsed(parser)


if __name__ == "__main__":
    main()
