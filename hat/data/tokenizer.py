"""SentencePiece: training whose result depends on text and settings alone, and encoding in batches."""

import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hat.deploy.batching import usable_cores
from hat.errors import UsageError

# fairseq's special symbols: SentencePiece ids then are fairseq dictionary ids.
SPECIAL_IDS: dict[str, Any] = {"bos_id": 0, "pad_id": 1, "eos_id": 2, "unk_id": 3}
END_OF_SENTENCE = SPECIAL_IDS["eos_id"]

# A character rarer than this becomes <unk>: a small text keeps all of its own, web text loses its stray symbols.
RAREST_CHARACTER = 1e-6
MAX_TRAINING_SENTENCES = 1_000_000  # evenly spread over the text; they take some 4 GB of memory
# The sums of expected counts depend on the number of threads, so it is fixed, whatever the machine.
THREADS = 4


def train_tokenizer(paths: Sequence[Path], vocabulary_size: int, lines: int) -> bytes:
    """Train a unigram SentencePiece model on clean text files of `lines` lines each; returns the model (bytes).

    Raises UsageError, naming the nearest possible size, if the text can't fill or fit the vocabulary.
    """
    import sentencepiece

    if vocabulary_size <= len(SPECIAL_IDS):
        raise UsageError(f"data.vocabulary_size {vocabulary_size} leaves no room beside {len(SPECIAL_IDS)} symbols")
    every = -(-lines * len(paths) // MAX_TRAINING_SENTENCES)
    model = io.BytesIO()
    sentencepiece.set_random_generator_seed(1)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(paths, every),
            model_writer=model,
            vocab_size=vocabulary_size,
            character_coverage=_character_coverage(_lines(paths, every)),
            num_threads=THREADS,
            minloglevel=2,
            **SPECIAL_IDS,
        )
    except RuntimeError as error:
        raise _size_error(str(error), vocabulary_size) or error from None
    return model.getvalue()


def _lines(paths: Sequence[Path], every: int) -> Iterator[str]:
    """Yield each `every`-th line of the text files."""
    for path in paths:
        with open(path, encoding="utf-8", newline="\n") as lines:
            for line in itertools.islice(lines, 0, None, every):
                yield line[:-1]


def _character_coverage(lines: Iterable[str]) -> float:
    """Share of the text made up by characters that are not too rare."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line)
    total = counts.total()
    return sum(count for count in counts.values() if count >= RAREST_CHARACTER * total) / total


def _size_error(message: str, vocabulary_size: int) -> UsageError | None:
    largest = re.search(r"value <= (\d+)", message)
    if largest:
        remedy = f"is more than the training text can fill; the largest possible is {largest[1]}"
        return UsageError(f"data.vocabulary_size {vocabulary_size} {remedy}")
    smallest = re.search(r"required_chars\. \d+ vs (\d+)", message)
    if smallest:
        remedy = f"can't hold the characters of the training text; the smallest possible is {smallest[1]}"
        return UsageError(f"data.vocabulary_size {vocabulary_size} {remedy}")
    return None


class Tokenizer:
    """A trained SentencePiece model: `encode` lists of sentences, `pieces` in the order of their ids."""

    def __init__(self, path: Path | str) -> None:
        import sentencepiece

        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def encode(self, sentences: list[str]) -> list[list[int]]:
        """list[str] -> list[list[int]], without </s>, on all cores."""
        return self._processor.encode(sentences, num_threads=usable_cores())

    def __len__(self) -> int:
        """Vocabulary size, the special symbols included."""
        return len(self._processor)

    @property
    def pieces(self) -> list[str]:
        """All pieces in the order of their ids."""
        return [self._processor.id_to_piece(index) for index in range(len(self))]
