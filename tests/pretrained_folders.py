"""Folders in Hugging Face's layout: tokenizers whose vocabularies are learnt from a few sentences, empty weights."""

import json

TEXTS = [
    "The café wasn't bad at all, but the waiters' manners were!",
    "Naïve plots; un-believable acting... 2 out of 10 (at most).",
    "A warm, funny and moving film \u2014 the best of 2004?",
    "ordinary words in lower case make ordinary tokens",
    "unhappy endings, happier beginnings, the happiest middle",
    "日本 cinema at its most peculiar: 映画",
]
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NETWORK = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "hidden_act": "gelu",
    "max_position_embeddings": 40,
    "layer_norm_eps": 1e-12,
    "type_vocab_size": 2,
}
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def bert_vocabulary(lower_case=True):
    """WordPiece tokens in the order of their ids."""
    from tokenizers.implementations import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(lowercase=lower_case)
    tokenizer.train_from_iterator(TEXTS, vocab_size=160, min_frequency=1, special_tokens=BERT_SPECIAL)
    return [tokenizer.id_to_token(index) for index in range(tokenizer.get_vocab_size())]


def write_bert_folder(folder, vocabulary, **settings):
    """vocab.txt, tokenizer_config.json with `settings`, a config.json, and an empty file in place of weights."""
    folder.mkdir()
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "model.safetensors").touch()
    write_network_settings(folder, vocab_size=len(vocabulary))
    return folder


def write_network_settings(folder, **settings):
    (folder / "config.json").write_text(json.dumps(NETWORK | settings))


def byte_level_model():
    """(vocabulary {token: id}, merges [(left, right)]) of a byte-level BPE."""
    from tokenizers.implementations import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(TEXTS, vocab_size=320, min_frequency=1, special_tokens=ROBERTA_SPECIAL)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]
