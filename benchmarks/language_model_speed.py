"""The deployed language model beside GPT-2 of the same sizes: a prompt, then one word at a time, on one core, in turns.

Of 6 layers of 256, FFN 768, 8 heads, 10,000 words: "adaptive" has tables of 256, 64 and 16 columns cut at 1,500 and
5,000 words, "one_table" a single one, as GPT-2 does. Weights are random. The peers are `torch.onnx.export` of
transformers' GPT2LMHeadModel with its keys and values, optimised and for int8 quantised by onnxruntime's own tools, and
CTranslate2's generator with the same model. All write the likeliest word each time; GPT-2 attends to all words, HAT to
the last 97. Run by hand on a quiet machine, after `pip install transformers ctranslate2`:

    python benchmarks/language_model_speed.py --json language_model.json
"""

import json
import platform
import tempfile
from pathlib import Path

import numpy as np
from language_model_peers import CTranslate2Gpt2, OnnxGpt2, gpt2, has_ctranslate2, write_onnx
from one_core import benchmark_parser, in_turns, parsed

from hat.architecture.stacks import Architecture, DecoderArchitecture
from hat.cli.common import positive_int

SIZES = (6, 256, 768, 8, 10000)  # layers, width, FFN, heads, words
CONTEXT = 97
TABLES = {"adaptive": {"cutoffs": (1500, 5000), "bin_dims": (256, 64, 16)}, "one_table": {}}
PRECISIONS = ("fp32", "int8")
PROMPT_WORDS = 64
SEED = 1


class Benchmark:
    """One of TABLES in all its forms, under `folder`, generating `words` words after a prompt."""

    def __init__(self, name, folder, words, sizes=SIZES):
        self._words, self._vocabulary = words, sizes[-1]
        peer = gpt2(*sizes, positions=PROMPT_WORDS + words, seed=SEED)
        write_onnx(folder, peer)
        self.contestants = {}
        for precision in PRECISIONS:
            self._add(f"onnxruntime {precision}", OnnxGpt2(folder / f"{precision}.onnx"))
            if has_ctranslate2():
                compute_type = {"fp32": "float32"}.get(precision, precision)
                path = folder / f"ctranslate2.{precision}"
                self._add(f"CTranslate2 {precision}", CTranslate2Gpt2(path, peer, compute_type))
            self._add(f"HAT {precision}", Hat(folder / f"hat.{precision}", sizes, TABLES[name], precision))

    def _add(self, name, contestant):
        self.contestants[name] = lambda prompt: contestant.generate(prompt, self._words)

    def prompts(self, count):
        """Lists of numbers of words."""
        return np.random.default_rng(SEED).integers(2, self._vocabulary, (count, PROMPT_WORDS)).tolist()

    def run(self, count, rounds):
        """{contestant: words a second} over `count` prompts."""
        times = in_turns(self.contestants, self.prompts(count), rounds)
        return {name: 1e3 * self._words * count / found.sum() for name, found in times.items()}


class Hat:
    """A bundle in the new folder `path`, used through hat.LanguageModel."""

    def __init__(self, path, sizes, tables, precision):
        from hat import LanguageModel

        layers, dim, ffn_dim, heads, vocabulary = sizes
        per_layer = [(size,) * layers for size in (ffn_dim, heads, dim // heads, CONTEXT)]
        decoder = DecoderArchitecture(dim, per_layer[0], per_layer[1], head_dim=per_layer[2], context=per_layer[3])
        _write_bundle(path, Architecture(decoder=decoder), vocabulary, tables, precision)
        self._model = LanguageModel(path)

    def generate(self, prompt, count):
        """The `count` likeliest words, one after the other, behind numbers `prompt`."""
        names = self._model.vocabulary.words
        return self._model.generate(" ".join(names[number] for number in prompt), count, temperature=0)


def _write_bundle(path, architecture, vocabulary, tables, precision):
    from hat.config import to_mapping
    from hat.deploy.building.bundle_writer import write_bundle
    from hat.deploy.building.graphs import random_weights
    from hat.deploy.building.language_model_graph import build_language_model_graphs
    from hat.models.language_model_spec import LanguageModelSpec

    spec = LanguageModelSpec(vocabulary, architecture.decoder.embed_dim, **tables)
    graphs = build_language_model_graphs(architecture, spec, random_weights(architecture, spec, SEED), precision)
    words = path.with_suffix(".txt")
    words.write_text("<eos>\n<unk>\n" + "".join(f"w{number}\n" for number in range(2, vocabulary)), encoding="utf-8")
    description = {
        "task": spec.task,
        "precision": precision,
        "architecture": architecture.to_dict(),
        "spec": to_mapping(spec),
        "context": CONTEXT,
        "built_from": {},
    }
    write_bundle(path, graphs, {"words": words}, description)


def ratios(results):
    """HAT's words a second over those of each peer, of each network and precision: above 1 HAT is faster."""
    return {
        f"{name}_{precision}_{peer}": float(speeds[f"HAT {precision}"] / speeds[f"{peer} {precision}"])
        for name, speeds in results.items()
        for precision in PRECISIONS
        for peer in ("onnxruntime", "CTranslate2")
        if f"{peer} {precision}" in speeds
    }


def main():
    options = _options()
    if not has_ctranslate2():
        print("CTranslate2 is not installed and left out; pip install ctranslate2 brings it")
    results = {}
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name}: making models", flush=True)
            results[name] = Benchmark(name, Path(folder), options.words).run(options.prompts, options.rounds)
        for contestant, speed in results[name].items():
            print(f"  {contestant:16} {speed:7.1f} words a second", flush=True)
    found = ratios(results)
    print("HAT / peer: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in found.items()))
    if options.json:
        machine = platform.processor() or platform.machine()
        figures = {"machine": machine, "words_per_second": results, "ratios": found}
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _options():
    parser = benchmark_parser(__doc__.split("\n\n")[0], TABLES, 5, "all prompts")
    parser.add_argument("--prompts", type=positive_int, default=4, metavar="N", help=f"of {PROMPT_WORDS} words")
    parser.add_argument("--words", type=positive_int, default=100, metavar="N", help="to write after each")
    return parsed(parser)


if __name__ == "__main__":
    main()
