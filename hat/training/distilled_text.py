"""Sequence-level distillation (Kim and Rush 2016): the training text as the teacher's own bundle translates it."""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat import files
from hat.config import to_mapping
from hat.data.text import normalise_spaces
from hat.data.tokenizer import Tokenizer
from hat.data.translation.prepared import PreparedData
from hat.deploy.batching import usable_cores
from hat.errors import ArtifactError
from hat.experiment.run_directory import RunDirectory, stamp
from hat.progress import Progress

if TYPE_CHECKING:
    from hat.deploy.translator import Translator


PRECISION = "fp32"  # of the teacher's bundle: the one that translates exactly as the teacher does
SPLIT = "train1"  # fairseq reads train, train1... as one split
SENTENCES_A_WORKER = 500  # translated between two files


def text_inputs(run: RunDirectory, teacher: str, beam: int) -> dict[str, Any]:
    """What the teacher's translations of the training text depend on."""
    return {
        "weights_sha256": files.sha256_of_file(run.sub(teacher) / "model.safetensors"),
        "precision": PRECISION,
        "search": {**to_mapping(run.config.evaluation), "beam": beam},
        "data": stamp(run.data),
    }


def distilled_data(run: RunDirectory, teacher: str, beam: int) -> PreparedData:
    """PreparedData like the run's, with the teacher's translations of the training text as the split `train1`.

    They are made where they are missing, and kept in `distilled/TEACHER-FINGERPRINT` of the run directory, so those of
    another teacher or beam stay beside them. A translation that is empty or longer than data.max_length gives way to
    the reference. May be killed at any moment and called again. Raises ArtifactError.
    """
    inputs = text_inputs(run, teacher, beam)
    directory = run.path / "distilled" / f"{teacher}-{files.fingerprint(inputs)[:12]}"
    with files.locked(directory / "lock"):
        data = directory / "data"
        if not _is_whole(data):
            translations = _Translations(run, teacher, directory, inputs)
            translations.complete()
            _binarise(run, translations, data)
    return PreparedData(data)


class _Translations:
    """`translations/NNNNNNNNN.txt`, named by their first sentence's number: each whole, or not there."""

    def __init__(self, run: RunDirectory, teacher: str, directory: Path, inputs: dict[str, Any]) -> None:
        self._run, self._teacher, self._inputs = run, teacher, inputs
        self._parts, self._provenance = directory / "translations", directory / "provenance.json"
        prepared = PreparedData(run.data)
        self._source = prepared.raw_path("train", prepared.source_lang)
        self.sentences = prepared.sentences["train"]

    def complete(self) -> None:
        """Translate what is missing."""
        for leftover in self._parts.glob(".*.tmp"):
            leftover.unlink()
        size = self._sentences_a_part()
        missing = [start for start in range(0, self.sentences, size) if not self._is_whole(start, size)]
        if not missing:
            return
        title, left = f"translate the training text by {self._teacher}", sum(self._count(at, size) for at in missing)
        translator = self._translator()
        with Progress(title, self.sentences, "sentences", initial=self.sentences - left) as progress:
            for start, sources in _chunks(self._source, size):
                if start in missing:
                    lines = [normalise_spaces(line) for line in translator.translate(sources)]
                    files.write_text(self._part(start), "".join(f"{line}\n" for line in lines))
                    progress.advance(len(lines))

    def chunks(self) -> Iterator[list[str]]:
        """Lists of translations, in the order of the training text."""
        for start in range(0, self.sentences, self._sentences_a_part()):
            yield self._lines(start)

    def _translator(self) -> "Translator":
        from hat.deploy.translator import Translator
        from hat.export.bundles import export

        export(self._run, self._teacher, [PRECISION])
        bundle = self._run.export(self._teacher) / PRECISION
        return Translator(bundle, workers=usable_cores(), beam=self._inputs["search"]["beam"])

    def _sentences_a_part(self) -> int:
        """As it was when the first part was made, since what is translated together rounds alike."""
        if not self._provenance.exists():
            size = SENTENCES_A_WORKER * usable_cores()
            files.write_json(self._provenance, {"inputs": self._inputs, "sentences_a_part": size})
        return files.read_json(self._provenance, f"remove {self._provenance.parent}")["sentences_a_part"]

    def _is_whole(self, start: int, size: int) -> bool:
        part = self._part(start)
        if not part.exists():
            return False
        whole = part.read_bytes().count(b"\n") == self._count(start, size)
        if not whole:
            print(f"warning: {part} is cut off; its sentences are translated again", flush=True)
        return whole

    def _count(self, start: int, size: int) -> int:
        return min(size, self.sentences - start)

    def _lines(self, start: int) -> list[str]:
        return self._part(start).read_text(encoding="utf-8").split("\n")[:-1]

    def _part(self, start: int) -> Path:
        return self._parts / f"{start:09d}.txt"


def _chunks(path: Path, size: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first, list of lines) of a text file, `size` lines at a time."""
    with open(path, encoding="utf-8", newline="\n") as handle:
        lines = (line.removesuffix("\n") for line in handle)
        for start in itertools.count(0, size):
            chunk = list(itertools.islice(lines, size))
            if not chunk:
                return
            yield start, chunk


def _binarise(run: RunDirectory, translations: _Translations, data: Path) -> None:
    """Leave links to the prepared data in the new folder `data`, and SPLIT beside them."""
    building = data.with_name("data.building")
    shutil.rmtree(building, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)
    building.mkdir()
    for path in run.data.iterdir():
        (building / path.name).symlink_to(os.path.relpath(path, building))
    prepared = PreparedData(run.data)
    for suffix in ("bin", "idx"):
        name = f"{prepared.source_lang}-{prepared.target_lang}.{prepared.source_lang}.{suffix}"
        (building / f"{SPLIT}.{name}").symlink_to(os.path.relpath(run.data / f"train.{name}", building))
    _write_targets(prepared, translations, building, run.config.data.max_length)
    written = {path.name: files.sha256_of_file(path) for path in building.glob(f"{SPLIT}.*") if not path.is_symlink()}
    files.write_json(building / "distilled.json", written)
    building.rename(data)


def _write_targets(prepared: PreparedData, translations: _Translations, building: Path, max_length: int) -> None:
    from hat.fairseq_plugin.binarise import binarised_text

    lang = prepared.target_lang
    tokenizer = Tokenizer(prepared.sentencepiece(lang))
    written = replaced = 0
    with (
        open(prepared.raw_path("train", lang), encoding="utf-8", newline="\n") as references,
        binarised_text(building, SPLIT, prepared.source_lang, lang, lang, len(tokenizer)) as binarised,
    ):
        for lines in translations.chunks():
            sentences = []
            for ids, reference in zip(tokenizer.encode(lines), references, strict=False):
                if not 0 < len(ids) <= max_length:
                    ids = tokenizer.encode([reference.removesuffix("\n")])[0]
                    replaced += 1
                sentences.append(ids)
            binarised.add(sentences)
            written += len(sentences)
    if written != translations.sentences:
        raise ArtifactError(f"{prepared.directory / 'raw'} holds {written} training pairs; run hat-prepare again")
    print(f"{written} translations, {replaced} of them empty or too long: there the reference is taken", flush=True)


def _is_whole(data: Path) -> bool:
    """Whether the binarised translations are those that were written; says so if not."""
    if not data.exists():
        return False
    recorded = files.read_json(data / "distilled.json", f"remove {data}")
    for name, sha256 in recorded.items():
        path = data / name
        if not path.exists() or files.sha256_of_file(path) != sha256:
            print(f"warning: {path} is cut off or damaged; it is made again from the translations", flush=True)
            return False
    return True
