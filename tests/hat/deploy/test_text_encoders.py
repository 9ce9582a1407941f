"""Token ids of texts and pairs: `transformers`' own tokenizers, and SentencePiece, as the references."""

import builtins
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pretrained_folders import TEXTS, bert_vocabulary, byte_level_model, write_bert_folder, write_network_settings

from hat.data.pretrained_tokenizer import pretrained_tokenizer
from hat.deploy.text_encoders import open_text_encoder
from hat.errors import ArtifactError

ANY_TEXT = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from(" ".join(TEXTS).split()), max_size=12).map(" ".join),
)


def as_tokenizer_json(folder):
    path = folder / "made" / "tokenizer.json"
    path.parent.mkdir()
    path.write_text(pretrained_tokenizer(folder), encoding="utf-8")
    return open_text_encoder(path)


@pytest.fixture(scope="module", params=["uncased", "cased", "roberta"])
def both(request, tmp_path_factory):
    """(ours, transformers') tokenizers with the same vocabulary."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("pretrained") / "folder"
    if request.param == "roberta":
        vocabulary, merges = byte_level_model()
        reference = transformers.RobertaTokenizerFast(vocab=vocabulary, merges=merges)
        reference.save_pretrained(folder)
        write_network_settings(folder, model_type="roberta", vocab_size=len(reference))
        return as_tokenizer_json(folder), reference
    lower_case = request.param == "uncased"
    write_bert_folder(folder, bert_vocabulary(lower_case), do_lower_case=lower_case, tokenize_chinese_chars=lower_case)
    return as_tokenizer_json(folder), transformers.BertTokenizerFast.from_pretrained(folder)


def test_special_tokens_are_those_of_transformers(both):
    ours, reference = both
    assert (ours.first, ours.separator, ours.padding) == (
        reference.cls_token_id,
        reference.sep_token_id,
        reference.pad_token_id,
    )
    assert ours.vocabulary == len(reference)


@settings(max_examples=150, deadline=None)
@given(text=ANY_TEXT, pair=st.none() | ANY_TEXT, max_tokens=st.none() | st.integers(5, 24))
def test_ids_are_those_of_transformers(both, text, pair, max_tokens):
    ours, reference = both
    sides = [[text]] if pair is None else [[text], [pair]]
    expected = reference(*sides, truncation=max_tokens is not None, max_length=max_tokens)["input_ids"]
    assert [ours.encode(text, pair, max_tokens)] == expected


def test_special_tokens_in_a_text_are_those_of_transformers(both):
    ours, reference = both
    text = f"good{reference.sep_token}bad {reference.mask_token} {reference.cls_token}"
    assert ours.encode(text) == reference(text)["input_ids"]


def test_many_texts_are_encoded_as_one_by_one(both):
    ours, _ = both
    assert ours.encode_all(TEXTS, TEXTS[::-1], 16) == [
        ours.encode(text, pair, 16) for text, pair in zip(TEXTS, TEXTS[::-1], strict=True)
    ]
    assert ours.encode_all(TEXTS) == [ours.encode(text) for text in TEXTS]


def test_truncation_and_padding_that_a_tokenizer_json_asks_for_are_the_callers_choice(both, tmp_path):
    ours, reference = both
    reference.backend_tokenizer.enable_truncation(8)
    reference.backend_tokenizer.enable_padding(length=30)
    reference.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    reference.backend_tokenizer.no_truncation()
    reference.backend_tokenizer.no_padding()
    assert open_text_encoder(tmp_path / "tokenizer.json").encode(TEXTS[0]) == ours.encode(TEXTS[0])


@pytest.fixture(scope="module")
def sentencepiece_path(tmp_path_factory):
    import sentencepiece

    path, model = tmp_path_factory.mktemp("model") / "sentencepiece.model", io.BytesIO()
    ids = {"bos_id": 0, "pad_id": 1, "eos_id": 2, "unk_id": 3}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=85, minloglevel=2, **ids
    )
    path.write_bytes(model.getvalue())
    return path


def test_sentencepiece_between_its_special_tokens(sentencepiece_path):
    import sentencepiece

    ours, reference = open_text_encoder(sentencepiece_path), sentencepiece.SentencePieceProcessor()
    reference.load(str(sentencepiece_path))
    text, pair = reference.encode(TEXTS[0]), reference.encode(TEXTS[1])
    assert (ours.first, ours.padding, ours.separator, ours.vocabulary) == (0, 1, 2, 85)
    assert ours.encode(TEXTS[0]) == [0, *text, 2]
    assert ours.encode(TEXTS[0], TEXTS[1]) == [0, *text, 2, *pair, 2]
    assert ours.encode(TEXTS[0], TEXTS[1], 20) == [0, *text[:8], 2, *pair[:9], 2]
    assert ours.encode(TEXTS[0], "", 12) == [0, *text[:9], 2, 2]
    assert ours.encode("") == [0, 2]


def test_halves_of_surrogate_pairs_are_replaced(both, sentencepiece_path):
    for ours in (both[0], open_text_encoder(sentencepiece_path)):
        assert ours.encode("a \ud83d b") == ours.encode("a \ufffd b")
        with pytest.raises(TypeError, match="must be a str, not int"):
            ours.encode(5)


def test_files_that_are_no_tokenizers(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": 5}')
    (tmp_path / "sentencepiece.model").write_text("no model")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is not a tokenizer that the package tokenizers reads"):
        open_text_encoder(tmp_path / "tokenizer.json")
    with pytest.raises(ArtifactError, match=r"sentencepiece\.model is not a SentencePiece model"):
        open_text_encoder(tmp_path / "sentencepiece.model")


@pytest.mark.parametrize(("name", "package"), [("t.json", "tokenizers"), ("s.model", "sentencepiece")])
def test_a_missing_package_is_named(monkeypatch, name, package):
    real = builtins.__import__

    def without(wanted, *arguments):
        if wanted == package:
            raise ImportError(wanted)
        return real(wanted, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ArtifactError, match=f"{name} needs the package {package}: pip install {package}"):
        open_text_encoder(name)


def test_a_tokenizer_without_special_tokens_is_refused(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    bare = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    bare.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ArtifactError, match="puts no special tokens around texts"):
        open_text_encoder(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "vocab.txt").unlink(), r"has neither tokenizer\.json nor vocab\.txt"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json is missing"),
        (lambda folder: write_network_settings(folder, vocab_size=7), r"tokens, but config\.json says vocab_size: 7"),
        (lambda folder: (folder / "vocab.txt").write_text("[PAD]\n[UNK]\nword\n"), r"lacks \[CLS\], \[SEP\], \[MASK\]"),
        (lambda folder: (folder / "tokenizer_config.json").write_text(json.dumps([])), "is not a JSON object"),
    ],
)
def test_pretrained_folders_that_are_refused(tmp_path, spoil, message):
    pytest.importorskip("tokenizers")
    folder = write_bert_folder(tmp_path / "bert", bert_vocabulary())
    spoil(folder)
    with pytest.raises(ArtifactError, match=message):
        pretrained_tokenizer(folder)


def test_a_pretrained_folder_that_is_not_there(tmp_path):
    with pytest.raises(ArtifactError, match="is no folder"):
        pretrained_tokenizer(tmp_path / "absent")
