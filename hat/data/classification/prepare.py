"""Stage `hat-prepare` of a classifier: labelled text to raw text, a tokenizer, binarised token sequences and labels."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat import files
from hat.data.classification.labels import describe_labels, label_names
from hat.data.classification.sources import LabelledText, open_labelled_text
from hat.data.classification.splits import TextCounts, write_encoded, write_examples, write_taught_text
from hat.data.preparation import prepare_once
from hat.data.pretrained_tokenizer import check_folder, network_settings, pretrained_tokenizer, tokenizer_files
from hat.data.source_files import SPLITS
from hat.data.tokenizer import train_tokenizer
from hat.deploy.text_encoders import open_text_encoder
from hat.errors import UsageError
from hat.experiment.classification import ClassificationDataConfig, ClassificationExperiment
from hat.experiment.run_directory import RunDirectory
from hat.models.pretrained_network import check_pretrained, pretrained_network

if TYPE_CHECKING:
    from hat.data.stages import Stages


def prepare(run: RunDirectory, source_directory: Path | str | None = None) -> None:
    """Prepare the data of a RunDirectory into `run.data`, as `prepare_once` does.

    The files of a named corpus are read from `source_directory`. Tokens are those of `model.pretrained` if there is
    one, else those of a SentencePiece model trained on the training split.
    """
    pretrained = run.config.model.pretrained
    tokenizer = (
        {} if pretrained is None else {f"pretrained/{name}": p for name, p in tokenizer_files(pretrained).items()}
    )
    prepare_once(run, source_directory, open_labelled_text, _build, {"pretrained": pretrained}, tokenizer)


def _build(run: RunDirectory, stages: "Stages", text: LabelledText) -> dict[str, Any]:
    """Do what is left of the stages; returns what data.json says about the prepared data."""
    config, pretrained = run.config.data, run.config.model.pretrained
    if pretrained is not None:
        _check_network(run.config)
    raw = {split: stages.data / "raw" / f"{split}.jsonl" for split in SPLITS}
    read = stages.once("text", lambda: _write_texts(text, raw))
    labels = list(read["train"]["labels"])
    tokenizer = _make_tokenizer(config, pretrained, stages, raw["train"])
    encoder = open_text_encoder(tokenizer)

    def binarise(split: str) -> TextCounts:
        def encode() -> int:
            prefix, label_file = stages.data / f"{split}.ids", stages.data / f"{split}.labels.npy"
            return write_encoded(counts, raw[split], prefix, label_file, encoder, labels, config.max_length)

        counts = TextCounts(**read[split])
        counts.cut = stages.once(split, encode)
        print(counts.describe(config.max_length), flush=True)
        return counts

    counts = {split: binarise(split) for split in SPLITS}
    print("\n".join(describe_labels(counts["train"].labels)), flush=True)
    network = {} if pretrained is None else {"network": network_settings(pretrained)}
    return {
        "task": "classification",
        "corpus": config.corpus,
        "labels": labels,
        "tokenizer": tokenizer.name,
        "vocabulary": encoder.vocabulary,
        "max_tokens": config.max_length,
        "first": encoder.first,
        "separator": encoder.separator,
        "padding": encoder.padding,
        "segments": _segments(config, pretrained),
        "pair_separators": encoder.pair_separators,
        "sentences": {split: counts[split].kept for split in SPLITS},
        "counts": {split: dataclasses.asdict(counts[split]) for split in SPLITS},
        **network,
    }


def _check_network(config: ClassificationExperiment) -> None:
    """Raise UsageError or ArtifactError unless an experiment can begin from its `model.pretrained`."""
    folder, longest = config.model.pretrained, config.data.max_length
    check_folder(folder)
    architecture, spec = pretrained_network(folder, ("0", "1"), first=0, separator=2)  # ids change nothing here
    config.search_space.check_within(architecture)
    if longest > spec.max_positions:
        raise UsageError(
            f"data.max_length: {longest} is above the {spec.max_positions} positions of {folder}; lower it"
        )
    check_pretrained(folder)


def _write_texts(text: LabelledText, raw: Mapping[str, Path]) -> dict[str, Any]:
    """Raw text of all splits, the training split first, whose labels the others must have; returns their counts."""
    counts, labels = {}, None
    for split in SPLITS:
        written = write_examples(split, text.splits[split], raw[split], labels)
        labels = labels or label_names(written.labels)
        counts[split] = dataclasses.asdict(written)
    return counts


def _make_tokenizer(config: ClassificationDataConfig, pretrained: str | None, stages: "Stages", train: Path) -> Path:
    """The path of the tokenizer, which is made if an earlier, killed run hasn't."""
    if pretrained is not None:
        path = stages.data / "tokenizer.json"
        if not path.exists():
            files.write_text(path, pretrained_tokenizer(pretrained))
        return path
    path = stages.data / "sentencepiece.model"
    if not path.exists():
        print("training the SentencePiece model ...", flush=True)
        taught = stages.directory / "taught.txt"
        lines = write_taught_text(taught, train)
        files.write_bytes(path, train_tokenizer([taught], config.vocabulary_size, lines))
    return path


def _segments(config: ClassificationDataConfig, pretrained: str | None) -> int:
    """Rows of the segment embeddings: the pretrained network's, or two for pairs."""
    if pretrained is not None:
        return network_settings(pretrained).get("type_vocab_size", 0)
    return 0 if config.text_pair is None else 2
