"""The tokenizer of a pretrained network's folder (Hugging Face's layout), as a tokenizer.json."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat import files
from hat.deploy.text_encoders import load_tokenizer
from hat.errors import ArtifactError

if TYPE_CHECKING:
    import tokenizers


TOKENIZER, VOCABULARY, SETTINGS, NETWORK = "tokenizer.json", "vocab.txt", "tokenizer_config.json", "config.json"
REMEDY = "download the folder again"
# What BERT calls its special tokens, with the names that SETTINGS may give others by.
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def tokenizer_files(folder: Path | str) -> dict[str, Path]:
    """{name: path} of the files in `folder` that its tokenizer is made from, as far as they are there."""
    paths = {name: Path(folder) / name for name in (TOKENIZER, VOCABULARY, SETTINGS, NETWORK)}
    return {name: path for name, path in paths.items() if path.is_file()}


def check_folder(folder: Path | str) -> None:
    """Raise ArtifactError unless `model.pretrained` names a folder."""
    if not Path(folder).is_dir():
        raise ArtifactError(f"model.pretrained: {folder} is no folder; name one with a pretrained network")


def pretrained_tokenizer(folder: Path | str) -> str:
    """The content of a tokenizer.json: the folder's own, or one made from BERT's vocab.txt and tokenizer_config.json.

    Raises ArtifactError if the folder has neither or isn't there, or if its network has another number of tokens.
    """
    folder = Path(folder)
    check_folder(folder)
    if (folder / TOKENIZER).exists():
        tokenizer = load_tokenizer(folder / TOKENIZER)
        content = (folder / TOKENIZER).read_text(encoding="utf-8")
    elif (folder / VOCABULARY).exists():
        tokenizer = _word_piece(folder)
        content = tokenizer.to_str(pretty=True)
    else:
        raise ArtifactError(f"{folder} has neither {TOKENIZER} nor {VOCABULARY}; put the network's tokenizer there")
    tokens, expected = tokenizer.get_vocab_size(), network_settings(folder).get("vocab_size")
    if tokens != expected:
        raise ArtifactError(
            f"{folder}: the tokenizer has {tokens} tokens, but {NETWORK} says vocab_size: {expected}; "
            "put the network's own tokenizer there"
        )
    return content


def network_settings(folder: Path | str) -> dict[str, Any]:
    """What the folder's config.json says of the network; raises ArtifactError if it is missing or no JSON object."""
    return _settings(Path(folder) / NETWORK)


def _settings(path: Path) -> dict[str, Any]:
    settings = files.read_json(path, REMEDY)
    if not isinstance(settings, dict):
        raise ArtifactError(f"{path} is not a JSON object; {REMEDY}")
    return settings


def _word_piece(folder: Path) -> "tokenizers.Tokenizer":
    """BERT's tokenizer, with the defaults that `transformers` has where tokenizer_config.json says nothing."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    settings = _settings(folder / SETTINGS) if (folder / SETTINGS).exists() else {}
    special = {role: _token_name(settings.get(role, name)) for role, name in SPECIAL.items()}
    vocabulary = models.WordPiece.read_file(str(folder / VOCABULARY))
    missing = [name for name in special.values() if name not in vocabulary]
    if missing:
        raise ArtifactError(f"{folder / VOCABULARY} lacks {', '.join(missing)}; is it the vocabulary of a BERT?")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk_token"]))
    tokenizer.add_special_tokens(list(special.values()))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=settings.get("do_lower_case", True),
        strip_accents=settings.get("strip_accents"),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    separator, first = special["sep_token"], special["cls_token"]
    tokenizer.post_processor = processors.BertProcessing((separator, vocabulary[separator]), (first, vocabulary[first]))
    return tokenizer


def _token_name(token: str | dict[str, Any]) -> str:
    """The text of a special token: a string, or an object that has it as its content."""
    return token["content"] if isinstance(token, dict) else token
