"""How much faster than fairseq a finished run's bundles translate: calls of them by the wall's clock, in turns.

    python benchmarks/fairseq_speed.py --run runs/multi30k.en-de --names cpu-33pct --json speed.json

The peer is what a user of fairseq has: the run's full-size Transformer with its trained weights, as fairseq's own model
in eager PyTorch, searched by fairseq's own SequenceGenerator with the run's beam, on one thread. It and all bundles of
the full-size Transformer and of the names translate the same sentences of the test set, text to text, one at a time.

The JSON holds `bundles`: for each its `median_ms`, `faster`, the peer's median over it, and `size_bytes`; further the
peer's `median_ms`, `same`, how many of its translations are those of the full-size fp32 bundle (a check: nearly all),
and `taken`, the share of the time in which other work had the processor.
"""

import numpy as np
from promised_latency import SEED, call_in_turns

from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.experiment.run_directory import FULL, RunDirectory

PEER = "fairseq"


def main(arguments=None):
    parser = ArgumentParser(__doc__.split("\n\n")[0])
    parser.add_argument("--run", required=True, metavar="DIR", help="finished run directory of a translator")
    parser.add_argument("--names", nargs="*", default=[], metavar="NAME", help="exported networks beside that one")
    parser.add_argument("--sentences", type=positive_int, default=60, help="of the test set, drawn by a fixed seed")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    run_command(parser, _main, arguments)


def _main(options):
    import torch

    from hat import Translator, files
    from hat.errors import UsageError

    torch.set_num_threads(1)
    run = RunDirectory.open(options.run)
    if run.task.name != "translation":
        raise UsageError(f"{run.path} is of task {run.task.name}; name the run of a translator")
    bundles = {name: _bundles(run, name) for name in [FULL, *options.names]}
    peer = Fairseq(run, bundles[FULL]["fp32"])
    sentences = run.task.calls(run, "test", options.sentences, SEED)["sentences"]
    expected = Translator(bundles[FULL]["fp32"]).translate(sentences)
    same = sum(peer(sentence, None) == text for sentence, text in zip(sentences, expected, strict=True))
    paths = {str(path) for precisions in bundles.values() for path in precisions.values()}
    calls_ms, taken = call_in_turns(paths, sentences, {PEER: peer})
    peer_ms = float(np.median(calls_ms[PEER]))
    rows = [
        _row(name, precision, path, calls_ms[str(path)], peer_ms)
        for name, precisions in bundles.items()
        for precision, path in precisions.items()
    ]
    print("\n".join(_table(rows, peer_ms)))
    print(f"{same} of {len(sentences)} translations of fairseq's are the full-size fp32 bundle's")
    print(f"other work had the processor {taken:.1%} of the time")
    if options.json:
        found = {"median_ms": peer_ms, "same": same, "sentences": len(sentences), "taken": taken, "bundles": rows}
        files.write_json(options.json, found)


class Fairseq:
    """The run's full-size Transformer as fairseq's own model and search: called with a sentence, it translates it.

    `bundle`, the folder of the same network's, lends its tokenizers.
    """

    def __init__(self, run, bundle):
        from decoder_peers import FairseqModel

        from hat.deploy.bundle import open_bundle
        from hat.deploy.tokenizers import Tokenizers
        from hat.errors import UsageError
        from hat.models.checkpoint import load_weights

        architecture, spec, weights = load_weights(run.sub(FULL))
        encoder, decoder = architecture.encoder, architecture.decoder
        if {architecture.qkv_dim} != {encoder.embed_dim, decoder.embed_dim}:
            raise UsageError(f"{run.sub(FULL)}: fairseq has no model whose attention isn't as wide as its layers")
        if decoder.cross_attention_heads != decoder.self_attention_heads or set(decoder.cross_attention_span) != {1}:
            raise UsageError(
                f"{run.sub(FULL)}: fairseq has no model whose decoder attends to the encoder with another number of "
                "heads than to itself, or to more than its last layer"
            )
        self._model, self._beam = FairseqModel(architecture, spec, weights), run.config.evaluation.beam
        self._tokenizers = Tokenizers(open_bundle(bundle))

    def __call__(self, sentence, _ids):
        found = self._model.translate(self._tokenizers.parts(sentence), self._beam)
        return " ".join(self._tokenizers.text(pool[0]["tokens"].tolist()) for pool in found)


def _bundles(run, name):
    """{precision: folder} of all bundles of `name`."""
    from hat.errors import ArtifactError

    found = {path.parent.name: path.parent for path in sorted(run.export(name).glob("*/bundle.json"))}
    if name == FULL and "fp32" not in found:
        raise ArtifactError(f"{run.export(FULL)} holds no fp32 bundle; run hat-export full --run {run.path}")
    if not found:
        raise ArtifactError(f"{run.export(name)} holds no bundle; run hat-export {name} --run {run.path}")
    return found


def _row(name, precision, path, calls_ms, peer_ms):
    from hat.deploy.bundle import open_bundle

    median_ms = float(np.median(calls_ms))
    return {
        "name": name,
        "precision": precision,
        "median_ms": median_ms,
        "faster": peer_ms / median_ms,
        "size_bytes": open_bundle(path).size_bytes,
    }


def _table(rows, peer_ms):
    """Lines of text."""
    width = max(len(row["name"]) for row in rows)
    yield f"{PEER:{width}}           {peer_ms:8.2f} ms"
    for row in rows:
        yield (
            f"{row['name']:{width}}  {row['precision']:8} {row['median_ms']:8.2f} ms  {row['faster']:5.1f} times faster"
            f"  {row['size_bytes'] / 1e6:6.2f} MB"
        )


if __name__ == "__main__":
    main()
