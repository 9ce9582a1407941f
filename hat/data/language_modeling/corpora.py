"""The named corpora of running text: where they come from, and which of their files make each split."""

from dataclasses import dataclass

from hat.data.source_files import FILES
from hat.errors import UsageError

WIKITEXT = "https://s3.amazonaws.com/research.metamind.io/wikitext"


@dataclass(frozen=True)
class RunningCorpus:
    """A file for each split, plain or .gz; with a `url`, members of the zip archive there, whose SHA-256 is known."""

    files: dict[str, str]
    url: str = ""
    sha256: str = ""

    @property
    def archive(self) -> str:
        """The archive's name."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def content(self) -> str:
        """What of it a user can put into a folder."""
        listed = f"{', '.join(self.files.values())}, plain or .gz,"
        return f"{self.archive}, or {listed}" if self.url else listed


def _wikitext(name: str, sha256: str) -> RunningCorpus:
    files = {split: f"{name}/wiki.{split}.tokens" for split in ("train", "valid", "test")}
    return RunningCorpus(files, f"{WIKITEXT}/{name}-v1.zip", sha256)


CORPORA = {
    # Penn Treebank as Mikolov prepared it: 10,000 words with the end of a line, <unk> in place of the others
    "ptb": RunningCorpus({"train": "ptb.train.txt", "valid": "ptb.valid.txt", "test": "ptb.test.txt"}),
    # Merity et al. 2016, word by word; the ends of their empty lines, which others count, are left out with these
    "wikitext-2": _wikitext("wikitext-2", "92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c"),
    "wikitext-103": _wikitext("wikitext-103", "242ba0f20b329cfdf1ccc61e9e9e5b59becf189db7f7a81cd2a0e2fc31539590"),
}
GENERATED = "synthetic.tales"
CORPUS_NAMES = (GENERATED, *CORPORA, FILES)


def running_corpus(name: str) -> RunningCorpus:
    """The RunningCorpus called `name`; UsageError if there is none."""
    if name not in CORPORA:
        raise UsageError(f"data.corpus: {name!r} is not one of {', '.join(CORPUS_NAMES)}")
    return CORPORA[name]
