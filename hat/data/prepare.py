"""Stage `hat-prepare`: parallel text to clean text, SentencePiece models, fairseq dictionaries and binarised splits."""

import dataclasses
import shutil
from pathlib import Path

from hat import files
from hat.data.corpora import FILES
from hat.data.prepared import SPLITS
from hat.data.sources import open_parallel_text
from hat.data.splits import Side, write_clean, write_encoded
from hat.data.tokenizer import Tokenizer, train_tokenizer
from hat.errors import ArtifactError
from hat.run_directory import RUNS, is_current, mark_done

DESCRIPTION = "data.json"  # no output: beside what the others show, it says what they were made from


def prepare(run, source_directory=None):
    """Prepare the data of a RunDirectory into `run.data`; nothing is done if it is there and its inputs are the same.

    The files of a named corpus are read from `source_directory`, or else downloaded. All is built in a folder beside
    `run.data` that takes its place when complete. Raises UsageError or DataError.
    """
    if _is_up_to_date(run, source_directory):
        print(f"data is up to date: {run.data}")
        return
    building = run.path / "data.building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        _build(run, building, source_directory)
        shutil.rmtree(run.data, ignore_errors=True)
        building.rename(run.data)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    print(f"prepared data: {run.data}\nnext: hat-train-super --run {run.path}")


def _stage_inputs(run, hashes):
    return {**run.sections("data", "seed"), "files": hashes}


def _is_up_to_date(run, source_directory):
    """Whether the stage finished with this config, and the files it read haven't changed where they still exist."""
    try:
        hashes = files.read_json(run.data / DESCRIPTION, "")["inputs"]
    except (ArtifactError, KeyError, TypeError):
        return False
    if not is_current(run.data, _stage_inputs(run, hashes)):
        return False
    if source_directory is None and run.config.data.corpus != FILES:
        return True
    folder = Path(source_directory or "")
    present = {folder / name: sha256 for name, sha256 in hashes.items() if (folder / name).exists()}
    return all(files.sha256_of_file(path) == sha256 for path, sha256 in present.items())


def _build(run, building, source_directory):
    config = run.config.data
    languages = (config.source_lang, config.target_lang)
    clean, extracted = building / "clean", building / "extracted"
    print(f"reading the parallel text ({config.corpus}) ...", flush=True)
    text = open_parallel_text(config, run.config.seed, source_directory, RUNS / "downloads" / config.corpus, extracted)
    counts = {split: write_clean(split, text.splits[split], clean, languages) for split in SPLITS}
    hashes = {name: files.sha256_of_file(path) for name, path in text.files.items()}
    sides = _train_tokenizers(config, languages, clean, building)
    for split in SPLITS:
        write_encoded(counts[split], clean, building, sides, config.max_length)
        print(counts[split].describe(config.max_length))
    _write_dictionaries(building, sides, config.shared_vocabulary)
    shutil.rmtree(clean)
    shutil.rmtree(extracted, ignore_errors=True)
    files.write_json(building / DESCRIPTION, _description(config, sides, counts, hashes))
    outputs = [path for path in building.rglob("*") if path.is_file() and path.name != DESCRIPTION]
    mark_done(building, _stage_inputs(run, hashes), [str(path.relative_to(building)) for path in outputs])


def _train_tokenizers(config, languages, clean, building):
    """Train one SentencePiece model on both languages, or one on each; returns the two Sides."""
    groups = [languages] if config.shared_vocabulary else [(lang,) for lang in languages]
    for group in groups:
        print(f"training the SentencePiece model of {' and '.join(group)} ...", flush=True)
        model = train_tokenizer([clean / f"train.{lang}" for lang in group], config.vocabulary_size)
        for lang in group:
            (building / f"sentencepiece.{lang}.model").write_bytes(model)
    return [Side(lang, Tokenizer(building / f"sentencepiece.{lang}.model")) for lang in languages]


def _write_dictionaries(building, sides, shared):
    from hat.fairseq_plugin.binarise import write_dictionary

    both = sides[0].piece_counts + sides[1].piece_counts
    for side in sides:
        counts = both if shared else side.piece_counts
        write_dictionary(building / f"dict.{side.lang}.txt", side.tokenizer.pieces, counts)


def _description(config, sides, counts, hashes):
    """What DESCRIPTION says about the prepared data."""
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
        "inputs": hashes,
    }
