"""Soft labels of a text (Yan et al. 2020, arXiv 2005.07877): for each word the k that its teachers think most probable.

A folder `distilled/labels-FINGERPRINT` of the run directory holds them as two plain arrays (words of the text, k):
words.bin, numbers of words, and probabilities.bin, float16; provenance.json says of what they are and how far they go.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hat import files
from hat.errors import ArtifactError
from hat.experiment.run_directory import RunDirectory, stamp
from hat.experiment.sections import DistillationConfig
from hat.progress import Progress
from hat.training.distillation import check_is_here, load_teachers, teacher_digests

if TYPE_CHECKING:
    from torch import Tensor

    from hat.data.language_modeling.prepared import LanguageData
    from hat.models.language_model import LanguageModel


PROVENANCE = "provenance.json"
WORDS_A_PART = 32768  # labelled between two records of how far they go
WORDS_AT_A_TIME = 1024  # read together
PROBABILITIES_AT_A_TIME = 2**22  # of all words that could stand there: few enough for the caches


def labels_directory(run: RunDirectory, settings: DistillationConfig) -> Path:
    """Where the labels of these teachers are written: those of others stay beside them."""
    found = files.fingerprint(_inputs(run, settings))
    return run.path / "distilled" / f"labels-{found[:12]}"


def write_labels(run: RunDirectory, settings: DistillationConfig, device: str) -> None:
    """Write the labels of the training text that are missing, computed on `device`.

    May be killed at any moment and called again; what is there already is checked. Raises ArtifactError for files
    that are cut off, damaged or of other teachers.
    """
    check_is_here(run, settings.teachers)
    inputs, directory = _inputs(run, settings), labels_directory(run, settings)
    with files.locked(directory / "lock"):
        if not (directory / PROVENANCE).exists():
            files.write_json(directory / PROVENANCE, {"inputs": inputs, "written": 0})
        label_files = _LabelFiles(directory)
        label_files.check(inputs)
        if label_files.written < len(label_files):
            teachers = [teacher.to(device).eval() for teacher in load_teachers(run, settings)]
            title = f"label the training text by {' and '.join(settings.teachers)}"
            with Progress(title, len(label_files), "words", initial=label_files.written) as progress:
                for start in range(label_files.written, len(label_files), WORDS_A_PART):
                    stop = min(start + WORDS_A_PART, len(label_files))
                    label_files.append(_labels(teachers, run.prepared(), start, stop, inputs["labels"]))
                    progress.advance(stop - start)


def _inputs(run: RunDirectory, settings: DistillationConfig) -> dict[str, Any]:
    """All that the labels depend on."""
    prepared = run.prepared()
    return {
        "teachers": teacher_digests(run, settings),
        "labels": settings.labels,
        "vocabulary": prepared.vocabulary,
        "words": len(prepared.stream("train")),
        "data": stamp(run.data),
    }


class TeacherLabels:
    """Finished labels, mapped into memory; its length is the number of words that have some."""

    def __init__(self, directory: Path) -> None:
        label_files = _LabelFiles(directory)
        shape = len(label_files), label_files.labels
        self._arrays = [
            np.memmap(directory / name, dtype=kind, mode="r", shape=shape) for name, kind in label_files.kinds.items()
        ]

    def __len__(self) -> int:
        return len(self._arrays[0])

    def at(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(words, their probabilities), both (..., k), of the words that stand at `places` (...) of the text."""
        words, probabilities = (array[places] for array in self._arrays)
        return words, probabilities


class _LabelFiles:
    """The files of a folder as its provenance.json describes them; its length is that of the text."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._remedy = directory, f"remove {directory} and run again"
        self._provenance = files.read_json(directory / PROVENANCE, self._remedy)
        try:
            inputs, self.written = self._provenance["inputs"], self._provenance["written"]
            self._words, self.labels, vocabulary = inputs["words"], inputs["labels"], inputs["vocabulary"]
        except (KeyError, TypeError):
            raise ArtifactError(f"{directory / PROVENANCE} doesn't describe labels; {self._remedy}") from None
        self.kinds = {"words.bin": np.min_scalar_type(vocabulary - 1), "probabilities.bin": np.dtype(np.float16)}

    def __len__(self) -> int:
        return self._words

    def check(self, inputs: dict[str, Any]) -> None:
        """Raise ArtifactError unless they are what `inputs` lead to, as far as they are written."""
        if self._provenance["inputs"] != inputs:
            raise ArtifactError(
                f"{self._directory} holds labels of other teachers, or of another text; {self._remedy}: they are "
                "written anew"
            )
        for name, kind in self.kinds.items():
            path, bytes_written = self._directory / name, self.written * self.labels * kind.itemsize
            found = path.stat().st_size if path.exists() else 0
            if found < bytes_written:
                raise ArtifactError(f"{path} is cut off ({found} bytes of {bytes_written}); {self._remedy}")
        for name, digest in self._provenance.get("sha256", {}).items():
            if files.sha256_of_file(self._directory / name) != digest:
                raise ArtifactError(f"{self._directory / name} is damaged; {self._remedy}")

    def append(self, parts: Iterator[Sequence[np.ndarray]]) -> None:
        """Add rows of each array; they count once all of them are on the disk."""
        written = self.written
        with contextlib.ExitStack() as stack:
            handles = [stack.enter_context(open(self._directory / name, "ab")) for name in self.kinds]
            for handle, kind in zip(handles, self.kinds.values(), strict=True):
                handle.truncate(self.written * self.labels * kind.itemsize)  # what a kill left unrecorded
            for arrays in parts:
                written += len(arrays[0])
                for handle, array, kind in zip(handles, arrays, self.kinds.values(), strict=True):
                    handle.write(array.astype(kind).tobytes())
            for handle in handles:
                handle.flush()
                os.fsync(handle.fileno())
        self.written = self._provenance["written"] = written
        if written == len(self):
            digests = {name: files.sha256_of_file(self._directory / name) for name in self.kinds}
            self._provenance["sha256"] = digests
        files.write_json(self._directory / PROVENANCE, self._provenance)


def _labels(
    teachers: "Sequence[LanguageModel]", prepared: "LanguageData", start: int, stop: int, count: int
) -> Iterator[Sequence[np.ndarray]]:
    """Yield (words, probabilities), both (some words of the text, count), from the word `start` to before `stop`.

    They are the same wherever a killed run goes on: a part is read after as many words as the teachers see before it.
    """
    import torch

    seen = max(sum(teacher.decoder.active.context) for teacher in teachers)
    begin, device = max(0, start - seen), next(teachers[0].parameters()).device
    text = prepared.stream("train")
    before = text[begin - 1] if begin else prepared.end_of_line
    read = torch.from_numpy(np.concatenate([[before], text[begin : stop - 1]]).astype(np.int64)).to(device)
    rows = max(1, PROBABILITIES_AT_A_TIME // prepared.vocabulary)
    with torch.inference_mode():
        memories = [teacher(read[None, : start - begin], None)[1] if start > begin else None for teacher in teachers]
        for words in read[start - begin :].split(WORDS_AT_A_TIME):
            answers = [teacher(words[None], memory) for teacher, memory in zip(teachers, memories, strict=True)]
            memories = [memory for _, memory in answers]
            parts = zip(*(features[0].split(rows) for features, _ in answers), strict=True)
            for features in parts:
                yield _most_probable(teachers, features, count)


def _most_probable(
    teachers: "Sequence[LanguageModel]", features: "Sequence[Tensor]", count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The words, and their probabilities, of which the teachers' mean distribution has most: both (words, count)."""
    total: Any = 0
    for teacher, states in zip(teachers, features, strict=True):
        total = teacher.output.log_probabilities(states).exp_().add_(total)
    probabilities, words = total.topk(count, dim=-1)
    return words.cpu().numpy(), (probabilities / len(teachers)).cpu().numpy()
