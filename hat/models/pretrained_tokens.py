"""Ids of special tokens, read off the tokenizer's files beside a pretrained model."""

from hat import files
from hat.errors import ArtifactError

READERS = {
    "tokenizer.json": lambda path: _of_tokenizer(_json(path)),
    "vocab.txt": lambda path: {word: row for row, word in enumerate(path.read_text(encoding="utf-8").splitlines())},
    "vocab.json": lambda path: _json(path),
}


def special_token_ids(folder, tokens, vocabulary):
    """The id of each of `tokens` in the tokenizer in `folder`, whose ids must be below `vocabulary`.

    Raises ArtifactError without a tokenizer, or if it isn't the model's.
    """
    path = next((folder / name for name in READERS if (folder / name).exists()), None)
    if path is None:
        raise ArtifactError(f"{folder} has no tokenizer; put the model's own tokenizer.json or vocab.txt there")
    try:
        ids = READERS[path.name](path)
        found = [ids[token] for token in tokens]
        largest = max(ids.values())
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ArtifactError(f"{path} is not a tokenizer with {' and '.join(tokens)} ({error!r}); restore it") from None
    if largest >= vocabulary:
        raise ArtifactError(
            f"{path}: token id {largest} is beyond the model's vocab_size {vocabulary}; use its own file"
        )
    return found


def _json(path):
    return files.read_json(path, "download the model's own tokenizer")


def _of_tokenizer(description):
    added = {token["content"]: token["id"] for token in description.get("added_tokens", ())}
    return dict(description["model"]["vocab"]) | added
