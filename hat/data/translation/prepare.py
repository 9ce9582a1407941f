"""Stage `hat-prepare`: parallel text to clean text, SentencePiece models, fairseq dictionaries and binarised splits."""

import dataclasses
import shutil
from pathlib import Path

from hat import files
from hat.data import source_files
from hat.data.drawing import SPLITS
from hat.data.stages import Stages
from hat.data.tokenizer import Tokenizer, train_tokenizer
from hat.data.translation.corpora import FILES
from hat.data.translation.sources import open_parallel_text
from hat.data.translation.splits import Side, SplitCounts, move_raw, write_encoded, write_text
from hat.errors import ArtifactError, HatError
from hat.experiment.run_directory import RUNS, is_current, mark_done

DESCRIPTION = "data.json"
# The first two say, beside what the others show, what they were made from; a killed run may have left the third.
NO_OUTPUTS = (DESCRIPTION, source_files.RECORD, "done.json")


def prepare(run, source_directory=None):
    """Prepare the data of a RunDirectory into `run.data`; nothing is done if it is there and its inputs are the same.

    The files of a named corpus are read from `source_directory`, or else downloaded. All is built in a folder beside
    `run.data` that takes its place when complete; killed and run again, it goes on after the last finished stage.
    Raises UsageError or DataError, and leaves nothing then.
    """
    building = run.path / "data.building"
    if _is_up_to_date(run, source_directory):
        shutil.rmtree(building, ignore_errors=True)
        print(f"data is up to date: {run.data}")
        return
    print(f"reading the parallel text ({run.config.data.corpus}) ...", flush=True)
    downloads = RUNS / "downloads" / run.config.data.corpus
    text = open_parallel_text(run.config.data, run.config.seed, source_directory, downloads)
    hashes, seen = source_files.digests(text.files, building / "data")
    try:
        stages = Stages(building, _stage_inputs(run, hashes))
        files.write_json(stages.data / source_files.RECORD, seen)
        _build(run, stages, text, hashes)
    except HatError:
        shutil.rmtree(building, ignore_errors=True)
        raise
    shutil.rmtree(run.data, ignore_errors=True)
    stages.data.rename(run.data)
    shutil.rmtree(building)
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
    present = {name: folder / name for name in hashes if (folder / name).exists()}
    return source_files.digests(present, run.data)[0] == {name: hashes[name] for name in present}


def _build(run, stages, text, hashes):
    """Do what is left of the stages."""
    config = run.config.data
    languages = (config.source_lang, config.target_lang)
    clean = stages.directory / "text"
    read = stages.once("text", lambda: _write_texts(text, clean, languages))
    sides = _train_tokenizers(config, languages, clean, stages, SplitCounts(**read["train"]).clean)
    counts = {split: _binarise(stages, SplitCounts(**read[split]), clean, sides, config.max_length) for split in SPLITS}
    _write_dictionaries(stages.data, sides, config.shared_vocabulary)
    files.write_json(stages.data / DESCRIPTION, _description(config, sides, counts, hashes))
    outputs = [path for path in stages.data.rglob("*") if path.is_file() and path.name not in NO_OUTPUTS]
    mark_done(stages.data, _stage_inputs(run, hashes), [str(path.relative_to(stages.data)) for path in outputs])


def _write_texts(text, clean, languages):
    return {split: dataclasses.asdict(write_text(split, text.splits[split], clean, languages)) for split in SPLITS}


def _train_tokenizers(config, languages, clean, stages, lines):
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


def _binarise(stages, counts, clean, sides, max_length):
    """Token ids and raw text of a split from its clean text; returns its SplitCounts, complete."""

    def encode():
        left_out = write_encoded(counts, clean, stages.data, sides, max_length)
        return {"counts": dataclasses.asdict(counts), "left_out": left_out}

    done = stages.once(counts.split, encode)
    for side in sides:
        name = f"{counts.split}.{side.lang}"
        move_raw(clean / name, stages.data / "raw" / name, done["left_out"])
    counts = SplitCounts(**done["counts"])
    print(counts.describe(max_length), flush=True)
    return counts


def _write_dictionaries(data, sides, shared):
    from hat.fairseq_plugin.binarise import token_counts, write_dictionary

    languages = [side.lang for side in sides]
    counts = [token_counts(data, "train", *languages, side.lang, len(side.tokenizer)) for side in sides]
    for side, own in zip(sides, counts, strict=True):
        write_dictionary(data / f"dict.{side.lang}.txt", side.tokenizer.pieces, sum(counts) if shared else own)


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
