"""A run whose model really learnt a few phrases, and a device of known latencies: for tests of evaluations."""

import itertools
import json

import pytest
import torch
import yaml
from tiny import TINY_SPACE

from hat.cli.evaluate import main
from hat.data.translation.prepare import prepare
from hat.data.translation.prepared import PreparedData
from hat.deploy.bundle import open_bundle
from hat.experiment.run_directory import RunDirectory
from hat.fairseq_plugin.datasets import load_batches
from hat.models.translation import SuperTransformer
from latency_predictor.sampling.bundle_meter import BundleMeter

WORDS = {"ein": "a", "roter": "red", "alter": "old", "Hund": "dog", "Mann": "man", "rennt": "runs", "singt": "sings"}
SOURCES = [
    f"Ein {adjective} {noun} {verb}."
    for adjective, noun, verb in itertools.product(("roter", "alter"), ("Hund", "Mann"), ("rennt", "singt"))
]
REFERENCES = [
    " ".join(WORDS[word.lower() if word == "Ein" else word] for word in source[:-1].split()).capitalize() + "."
    for source in SOURCES
]


def prepared_run(folder):
    for lang, lines in (("de", SOURCES), ("en", REFERENCES)):
        (folder / f"text.{lang}").write_text("\n".join(lines) + "\n")
    text = [str(folder / "text.de"), str(folder / "text.en")]
    training = {"max_update": 1, "warmup_updates": 1, "lr": 0.1}
    config = {
        "data": {
            "corpus": "files",
            "source_lang": "de",
            "target_lang": "en",
            "train": text,
            "valid": text,
            "test": text,
            "vocabulary_size": 30,
        },
        "model": {"dropout": 0.0},
        "search_space": TINY_SPACE.to_dict(),
        "super_training": training,
        "sub_training": training,
    }
    (folder / "toy.yaml").write_text(yaml.safe_dump(config))
    run = RunDirectory.create(folder / "toy.yaml")
    prepare(run)
    return run


def trained(run):
    prepared = PreparedData(run.data)
    spec = run.config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary)
    model = SuperTransformer(TINY_SPACE, spec)
    model.activate(TINY_SPACE.smallest())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    (batch,) = load_batches(prepared, "train", max_tokens=4000)
    for _ in range(150):
        logits = model(batch.src_tokens, batch.prev_output_tokens)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.target.flatten(), ignore_index=1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


class Meter(BundleMeter):
    """A device where the median sentence takes 12.5 ms, one of ten 20; `measured` is what was asked of any."""

    measured = []

    def measure(self, bundles):
        assert all(open_bundle(bundle).description["precision"] == precision for bundle, precision in bundles)
        self.measured.extend(bundles)
        latencies = {"latency_ms": 12.5, "latency_p90_ms": 20.0, "latency_rounds": "alike", "device": self._device.name}
        return [latencies for _ in bundles]


def evaluated(capsys, run, *arguments):
    """The rows of `hat-evaluate ARGUMENTS --json` without latencies."""
    main([*map(str, arguments), "--no-latency", "--json", "--run", str(run.path)])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def refused(capsys, run, *arguments):
    """(exit status, message) of a command that fails."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--no-latency", "--run", str(run.path)])
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return end.value.code, error
