"""The deployed decoder beside fairseq and CTranslate2: the same weights, one core, compared in turns.

A has 6+6 layers of 512 (FFN 2,048, 8 heads), B has 3+1 of 256 (FFN 1,024, 4 heads); 7,872 words. Run by hand on a quiet
machine, after `pip install ctranslate2`:

    python benchmarks/decoder_speed.py --quick --json speed.json

forced      one sentence of 23 to 30 tokens, exactly 30 steps, ms
natural     one sentence, ends by itself, ms
throughput  1,000 sentences of Multi30k's lengths, sentences a second
shortlist   as forced, with the output layer limited to 1,024 words
resources   peak memory, disk, import and load time
"""

import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hat.cli.common import ArgumentParser

# Every twentieth quantile of the words in Multi30k's English validation sentences.
LENGTHS = [4, 7, 8, 8, 9, 9, 10, 10, 11, 11, 11, 12, 12, 13, 14, 14, 15, 16, 17, 19, 27]
SECTIONS = ("forced", "natural", "throughput", "shortlist", "resources")
STEPS = 30
SHORTLIST = 1024
BATCH_TOKENS = (1024, 2048, 4096)  # CTranslate2 gets the best of them, and HAT its default
BEAMS = {"beam5": 5, "greedy": 1}
SEED = 1


class Hat:
    """A bundle, used through hat.Translator."""

    def __init__(self, folder):
        from hat import Translator
        from hat.deploy.search_options import SearchOptions

        self._translators = {beam: Translator(folder, beam=beam) for beam in BEAMS.values()}
        self._search = self._translators[5].beam_search
        self._options = {beam: SearchOptions(beam) for beam in BEAMS.values()}

    def one(self, source, beam, forced, shortlist=None):
        if forced:
            self._search.search([source], self._options[beam], forced_steps=STEPS, shortlist=shortlist)
        else:
            self._translators[beam].translate_ids([source])

    def many(self, sources, beam):
        start = time.perf_counter()
        self._translators[beam].translate_ids(sources)
        return len(sources) / (time.perf_counter() - start)


class CTranslate2:
    """A CTranslate2 model in one of its compute types."""

    def __init__(self, folder, compute_type):
        from decoder_peers import open_ctranslate2

        self._translator = open_ctranslate2(folder, compute_type)

    def one(self, source, beam, forced, shortlist=None):
        lengths = {"max_decoding_length": int(1.2 * len(source) + 10)}
        if forced:
            lengths = {"min_decoding_length": STEPS, "max_decoding_length": STEPS}
        self._translator.translate_batch(_words([source]), beam_size=beam, use_vmap=shortlist is not None, **lengths)

    def many(self, sources, beam):
        words, best = _words(sources), 0.0
        for tokens in BATCH_TOKENS:
            start = time.perf_counter()
            self._translator.translate_batch(
                words, beam_size=beam, max_batch_size=tokens, batch_type="tokens", max_decoding_length=40
            )
            best = max(best, len(sources) / (time.perf_counter() - start))
        return best


class Fairseq:
    """fairseq's SequenceGenerator in eager mode."""

    def __init__(self, architecture, spec, weights):
        from decoder_peers import FairseqModel

        self._model = FairseqModel(architecture, spec, weights)

    def one(self, source, beam, forced, shortlist=None):
        self._model.translate([source], beam, STEPS if forced else None)

    def many(self, sources, beam):
        sources = sorted(sources, key=len)[:: max(1, len(sources) // 100)]  # 100 of them are enough
        start = time.perf_counter()
        for at in range(0, len(sources), 50):
            self._model.translate(sources[at : at + 50], beam)
        return len(sources) / (time.perf_counter() - start)


def _words(sources):
    from decoder_peers import word

    return [[word(token) for token in source] for source in sources]


class Benchmark:
    """One model in all its forms, under `folder`."""

    def __init__(self, name, folder, options):
        from decoder_models import architectures, make_model, write_hat_bundle
        from decoder_peers import write_ctranslate2_model

        self.name, self._folder, self._options = name, folder, options
        architecture = architectures()[name]
        self._sources = random_sources(np.random.default_rng(SEED), 1000)
        spec, weights, model = make_model(architecture, SEED, self._sources)
        for precision in ("fp32", "int8"):
            write_hat_bundle(folder / precision, model, architecture, spec, weights, precision, self._sources)
        for name, quantization in (("ctranslate2", None), ("ctranslate2.int8", "int8")):
            write_ctranslate2_model(folder / name, architecture, weights, range(4, 4 + SHORTLIST), quantization)
        self._contestants = {
            "fairseq": Fairseq(architecture, spec, weights),
            "CTranslate2 fp32": CTranslate2(folder / "ctranslate2", "float32"),
            "CTranslate2 int8": CTranslate2(folder / "ctranslate2.int8", "int8"),
            "HAT fp32": Hat(folder / "fp32"),
            "HAT int8": Hat(folder / "int8"),
        }

    def run(self, section):
        """{contestant: figures} of one section, printed as a table too."""
        print(f"\n{self.name}, {section}", flush=True)
        result = {"resources": self._resources, "throughput": self._throughput}.get(section, self._latency)(section)
        for contestant, figures in result.items():
            cells = (f"{key} {value:.4g}" for key, value in figures.items())
            print(f"  {contestant:18} " + "  ".join(cells), flush=True)
        return result

    def _latency(self, section):
        """Milliseconds of one sentence, the contestants in turns."""
        rng = np.random.default_rng(SEED)
        forced = section != "natural"
        sources = random_sources(rng, 6, [23, 25, 27, 30]) if forced else self._sources[:12]
        shortlist = np.arange(4 + SHORTLIST) if section == "shortlist" else None
        names = [name for name in self._contestants if shortlist is None or "int8" in name]
        times = {(name, beam): [] for name in names for beam in BEAMS}
        for turn in range(self._options.rounds + 1):  # the first is a warm-up
            for name, beam in times:
                if name == "fairseq" and turn > 2:
                    continue
                for source in sources:
                    start = time.perf_counter()
                    self._contestants[name].one(source, BEAMS[beam], forced, shortlist)
                    if turn:
                        times[name, beam].append(1e3 * (time.perf_counter() - start))
        return {
            name: {
                f"{beam} {label}": float(np.percentile(times[name, beam], percentile))
                for beam in BEAMS
                for label, percentile in (("median", 50), ("p10", 10), ("p90", 90))
            }
            for name in names
        }

    def _throughput(self, _section):
        """Sentences a second; the median of `throughput_rounds` turns after a warm-up."""
        sources = self._sources[: self._options.sentences]
        for name, contestant in self._contestants.items():
            for beam in BEAMS.values():
                contestant.many(sources[: 1 if name == "fairseq" else len(sources) // 3], beam)
        found = {name: {beam: [] for beam in BEAMS} for name in self._contestants}
        for turn in range(self._options.throughput_rounds):
            for name, contestant in self._contestants.items():
                if name == "fairseq" and turn:
                    continue
                for beam in BEAMS:
                    found[name][beam].append(contestant.many(sources, BEAMS[beam]))
        return {name: {beam: float(np.median(v)) for beam, v in beams.items()} for name, beams in found.items()}

    def _resources(self, _section):
        """Seconds, MiB and MB of int8 in processes of their own; medians of five."""
        path = self._folder / "sources.json"
        sources = self._sources[:100]
        path.write_text(json.dumps({"ids": sources, "words": _words(sources)}), encoding="utf-8")
        found = {}
        for name, kind, folder in (
            ("CTranslate2 int8", "ctranslate2", "ctranslate2.int8"),
            ("HAT int8", "hat", "int8"),
        ):
            script = [sys.executable, str(Path(__file__).with_name("decoder_resources.py")), kind]
            command = [*script, str(self._folder / folder), str(path)]
            environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
            runs = [
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
                for _ in range(5)
            ]
            found[name] = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
            found[name]["disk_mb"] = sum(file.stat().st_size for file in (self._folder / folder).iterdir()) / 1e6
        return found


def random_sources(rng, count, lengths=None):
    """Sources of ids that end with </s>; without `lengths` (tokens), as long as Multi30k's sentences."""
    from decoder_models import END, WORDS

    quantiles = np.interp(rng.random(count), np.linspace(0, 1, len(LENGTHS)), LENGTHS)
    sizes = np.resize(lengths, count) if lengths else np.rint(quantiles).astype(int)
    return [[*rng.choice(WORDS, size).tolist(), END] for size in sizes]


def ratios(results):
    """HAT's int8 time over CTranslate2's, one sentence, 30 steps."""
    found = {}
    for name, sections in results.items():
        for beam in BEAMS:
            times = [
                sections["forced"][contestant][f"{beam} median"] for contestant in ("HAT int8", "CTranslate2 int8")
            ]
            found[f"{name}_batch1_{beam}"] = times[0] / times[1]
    return found


def main():
    options = _options()
    os.sched_setaffinity(0, {options.core})
    import torch

    torch.set_num_threads(1)
    results = {}
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name}: making models", flush=True)
            benchmark = Benchmark(name, Path(folder), options)
            results[name] = {section: benchmark.run(section) for section in options.only}
    figures = {"machine": platform.processor() or platform.machine(), "results": results}
    if "forced" in options.only:
        figures["ratios"] = ratios(results)
        print("\nHAT int8 / CTranslate2 int8, 30 steps of one sentence:")
        for name, ratio in figures["ratios"].items():
            print(f"  {name:16} {ratio:.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        print(f"figures: {options.json}")


def _options():
    parser = ArgumentParser(__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sentences: under 10 minutes")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections to run")
    parser.add_argument("--models", nargs="+", choices=("A", "B"), default=["A", "B"], help="models to compare")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core that all run on")
    options = parser.parse_args()
    if options.core not in os.sched_getaffinity(0):
        parser.error(f"core {options.core} is none of {sorted(os.sched_getaffinity(0))}")
    if importlib.util.find_spec("ctranslate2") is None:
        parser.error("CTranslate2 is not installed; run: pip install ctranslate2")
    if options.json and not Path(options.json).resolve().parent.is_dir():
        parser.error(f"{options.json}: no such folder; name a file in one that is there")
    options.rounds, options.throughput_rounds = (4, 1) if options.quick else (12, 3)
    options.sentences = 300 if options.quick else 1000
    return options


if __name__ == "__main__":
    main()
