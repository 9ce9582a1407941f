"""The named corpora of labelled text: which files of a folder make each split, and the names of their columns."""

from dataclasses import dataclass

from hat.data.source_files import FILES
from hat.errors import UsageError


@dataclass(frozen=True)
class LabelledCorpus:
    """A file for each split, plain or .gz, with a column of texts and one of labels."""

    files: dict[str, str]
    text: str
    label: str


CORPORA = {
    # Socher et al. 2013: phrases and sentences of film reviews, 0 = negative, 1 = positive
    "sst2": LabelledCorpus({"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"}, "sentence", "label"),
}
GENERATED = "synthetic.reviews"
CORPUS_NAMES = (GENERATED, *CORPORA, FILES)


def labelled_corpus(name: str) -> LabelledCorpus:
    """The LabelledCorpus called `name`; UsageError if there is none."""
    if name not in CORPORA:
        raise UsageError(f"data.corpus: {name!r} is not one of {', '.join(CORPUS_NAMES)}")
    return CORPORA[name]
