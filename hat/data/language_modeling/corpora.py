"""The named corpora of running text: which files of a folder make each split."""

from hat.data.source_files import FILES
from hat.errors import UsageError

CORPORA = {
    # Penn Treebank as Mikolov prepared it: 10,000 words with the end of a line, <unk> in place of the others
    "ptb": {"train": "ptb.train.txt", "valid": "ptb.valid.txt", "test": "ptb.test.txt"},
}
GENERATED = "synthetic.tales"
CORPUS_NAMES = (GENERATED, *CORPORA, FILES)


def corpus_files(name: str) -> dict[str, str]:
    """{split: file} of the corpus called `name`; UsageError if there is none."""
    if name not in CORPORA:
        raise UsageError(f"data.corpus: {name!r} is not one of {', '.join(CORPUS_NAMES)}")
    return CORPORA[name]
