"""Stage `hat-prepare`: parallel text to clean text, SentencePiece models, fairseq dictionaries and binarised splits."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat import files
from hat.data.preparation import prepare_once
from hat.data.source_files import SPLITS
from hat.data.tokenizer import Tokenizer, train_tokenizer
from hat.data.translation.sources import ParallelText, open_parallel_text
from hat.data.translation.splits import Side, SplitCounts, move_raw, write_encoded, write_text
from hat.experiment.run_directory import RunDirectory
from hat.experiment.translation import DataConfig

if TYPE_CHECKING:
    from hat.data.stages import Stages


def prepare(run: RunDirectory, source_directory: Path | str | None = None) -> None:
    """Prepare the data of a RunDirectory into `run.data`, as `prepare_once` does.

    The files of a named corpus are read from `source_directory`, or else downloaded.
    """
    prepare_once(run, source_directory, open_parallel_text, _build)


def _build(run: RunDirectory, stages: "Stages", text: ParallelText) -> dict[str, Any]:
    """Do what is left of the stages; returns what data.json says about the prepared data."""
    config = run.config.data
    languages = (config.source_lang, config.target_lang)
    clean = stages.directory / "text"
    read = stages.once("text", lambda: _write_texts(text, clean, languages))
    sides = _train_tokenizers(config, languages, clean, stages, SplitCounts(**read["train"]).clean)
    counts = {split: _binarise(stages, SplitCounts(**read[split]), clean, sides, config.max_length) for split in SPLITS}
    _write_dictionaries(stages.data, sides, config.shared_vocabulary)
    return _description(config, sides, counts)


def _write_texts(text: ParallelText, clean: Path, languages: Sequence[str]) -> dict[str, Any]:
    return {split: dataclasses.asdict(write_text(split, text.splits[split], clean, languages)) for split in SPLITS}


def _train_tokenizers(
    config: DataConfig, languages: Sequence[str], clean: Path, stages: "Stages", lines: int
) -> list[Side]:
    """Train one SentencePiece model on both languages, or one on each; returns the two Sides."""
    models = {lang: stages.data / f"sentencepiece.{lang}.model" for lang in languages}
    for group in [languages] if config.shared_vocabulary else [(lang,) for lang in languages]:
        if all(models[lang].exists() for lang in group):
            continue
        print(f"training the SentencePiece model of {' and '.join(group)} ...", flush=True)
        model = train_tokenizer([clean / f"train.{lang}" for lang in group], config.vocabulary_size, lines)
        for lang in group:
            files.write_bytes(models[lang], model)
    return [Side(lang, Tokenizer(path)) for lang, path in models.items()]


def _binarise(
    stages: "Stages", counts: SplitCounts, clean: Path, sides: Sequence[Side], max_length: int
) -> SplitCounts:
    """Token ids and raw text of a split from its clean text; returns its SplitCounts, complete."""

    def encode() -> dict[str, Any]:
        left_out = write_encoded(counts, clean, stages.data, sides, max_length)
        return {"counts": dataclasses.asdict(counts), "left_out": left_out}

    done = stages.once(counts.split, encode)
    for side in sides:
        name = f"{counts.split}.{side.lang}"
        move_raw(clean / name, stages.data / "raw" / name, done["left_out"])
    counts = SplitCounts(**done["counts"])
    print(counts.describe(max_length), flush=True)
    return counts


def _write_dictionaries(data: Path, sides: Sequence[Side], shared: bool) -> None:
    from hat.fairseq_plugin.binarise import token_counts, write_dictionary

    languages = [side.lang for side in sides]
    counts: Any = [
        token_counts(data, "train", *languages, side.lang, len(side.tokenizer))  # type: ignore[call-arg,arg-type]
        for side in sides
    ]
    for side, own in zip(sides, counts, strict=True):
        write_dictionary(data / f"dict.{side.lang}.txt", side.tokenizer.pieces, sum(counts) if shared else own)


def _description(config: DataConfig, sides: Sequence[Side], counts: Mapping[str, SplitCounts]) -> dict[str, Any]:
    source, target = sides
    return {
        "corpus": config.corpus,
        "source_lang": source.lang,
        "target_lang": target.lang,
        "shared_vocabulary": config.shared_vocabulary,
        "source_vocabulary": len(source.tokenizer),
        "target_vocabulary": len(target.tokenizer),
        "sentences": {split: counts[split].kept for split in SPLITS},
        "counts": {split: dataclasses.asdict(counts[split]) for split in SPLITS},
    }
