"""Small classifiers for tests of hat.deploy: settings of the three pretrained kinds, weights, a plain reference."""

import functools

import numpy as np
import torch
from deployed import SENTENCES, train_tokenizer
from torch.nn import functional

from hat.architecture.complexity import parameter_shapes
from hat.architecture.stacks import Architecture, EncoderArchitecture
from hat.deploy.text_encoders import open_text_encoder
from hat.export.classification.bundle import describe_classifier, write_classifier_bundle
from hat.export.classification.calibration import calibrate_classifier
from hat.models.classifier_spec import ClassifierSpec

LABELS = ("negative", "neutral", "positive")
ENCODER = EncoderArchitecture(24, ffn_dim=(40, 32, 20), self_attention_heads=(4, 2, 1))
SPLIT_HEADS = Architecture(16, ENCODER)
FIXED_HEADS = Architecture(encoder=ENCODER, head_dim=6)
ONE_LAYER = Architecture(encoder=EncoderArchitecture(24, (40,), (3,)), head_dim=8)
LEARNED = {"positions": "learned", "normalize_embedding": True, "activation": "gelu", "layer_norm_epsilon": 1e-12}
KINDS = {
    "BERT": {**LEARNED, "segments": 2, "padding": 0, "first": 3, "separator": 4},
    "RoBERTa": {**LEARNED, "segments": 1, "layer_norm_epsilon": 1e-5},
    "DistilBERT": {**LEARNED, "pooler_activation": "relu", "padding": 0, "first": 3, "separator": 4},
    "from scratch": {"positions": "sinusoidal", "normalize_before": True},
    "from scratch, segments": {"positions": "sinusoidal", "segments": 1, "activation": "gelu"},
    "from scratch, learned positions": {**LEARNED, "normalize_before": True},
}


def classifier_spec(vocabulary=50, **options):
    """The kind of a pretrained classifier; the ids of <s> and </s> are those of `train_tokenizer`."""
    settings = {"position_dim": 24, "max_positions": 40, "first": 0, "separator": 2, **LEARNED, **options}
    return ClassifierSpec(vocabulary=vocabulary, labels=LABELS, **settings)


def classifier_weights(architecture, spec, seed):
    """{name: float32 array} of random values, such that labels differ from text to text."""
    rng = np.random.default_rng(seed)
    return {name: _random_weight(rng, name, shape) for name, shape in parameter_shapes(architecture, spec).items()}


def _random_weight(rng, name, shape):
    weight = rng.standard_normal(shape, dtype=np.float32)
    if "layer_norm.weight" in name:
        return 1 + 0.2 * weight
    return weight * np.float32(0.2 if len(shape) == 1 else 2.0 if name.startswith("classifier") else shape[1] ** -0.5)


class Reference:
    """A classifier computed head by head in torch, in double precision, as the contract of weights says."""

    def __init__(self, architecture, spec, weights):
        self._architecture, self._spec = architecture, spec
        self._weights = {name: torch.from_numpy(weight).double() for name, weight in weights.items()}

    def logits(self, tokens, segments=None):
        """Logits (labels,) of one sequence of ids."""
        x = self._embedded(tokens, [0] * len(tokens) if segments is None else segments)
        for layer, heads in enumerate(self._architecture.encoder.self_attention_heads):
            name = f"encoder.layers.{layer}"
            attention = functools.partial(self._attention, name=f"{name}.self_attn", heads=heads)
            x = self._residual(x, f"{name}.self_attn_layer_norm", attention)
            x = self._residual(x, f"{name}.final_layer_norm", functools.partial(self._feed_forward, name=name))
        first = (self._norm(x, "encoder.layer_norm") if self._spec.normalize_before else x)[0]
        pooled = getattr(torch, self._spec.pooler_activation)(self._linear(first, "pooler"))
        return self._linear(pooled, "classifier").numpy()

    def _embedded(self, tokens, segments):
        spec, count, dim = self._spec, len(tokens), self._architecture.encoder.embed_dim
        x = self._weights["encoder.embed_tokens.weight"][tokens]
        if spec.positions == "learned":
            x = x + self._weights["encoder.embed_positions.weight"][:count]
        else:
            x = x * dim**0.5 + sinusoids(count, spec.position_dim, spec.padding)[:, :dim]
        if spec.segments:
            x = x + self._weights["encoder.embed_segments.weight"][segments]
        return self._norm(x, "encoder.embedding_layer_norm") if spec.normalize_embedding else x

    def _attention(self, x, name, heads):
        width = self._architecture.attention_dim(heads) // heads
        stacked = self._linear(x, f"{name}.qkv_proj")
        if self._architecture.head_dim:
            parts = stacked.reshape(len(x), heads, 3, width).permute(1, 2, 0, 3)
        else:
            parts = stacked.reshape(len(x), 3, heads, width).permute(2, 1, 0, 3)
        states = [(query @ key.T * width**-0.5).softmax(-1) @ value for query, key, value in parts]
        return self._linear(torch.cat(states, dim=1), f"{name}.out_proj")

    def _feed_forward(self, x, name):
        activation = getattr(functional, self._spec.activation)
        return self._linear(activation(self._linear(x, f"{name}.fc1")), f"{name}.fc2")

    def _residual(self, x, name, function):
        if self._spec.normalize_before:
            return x + function(self._norm(x, name))
        return self._norm(x + function(x), name)

    def _linear(self, x, name):
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, x, name):
        weight, bias = (self._weights[f"{name}.{part}"] for part in ("weight", "bias"))
        return functional.layer_norm(x, weight.shape, weight, bias, self._spec.layer_norm_epsilon)


def sinusoids(count, dim, padding):
    """fairseq's sinusoidal positions of the first `count` tokens."""
    frequencies = torch.exp(torch.arange(dim // 2, dtype=torch.double) * -(np.log(10000) / (dim // 2 - 1)))
    angles = torch.arange(padding + 1, padding + 1 + count, dtype=torch.double)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def random_texts(rng, lengths, spec):
    """Lists of ids: first, random ones, separator."""
    words = [token for token in range(spec.vocabulary) if token not in (spec.padding, spec.first, spec.separator)]
    return [[spec.first, *rng.choice(words, length - 2).tolist(), spec.separator] for length in lengths]


TEXTS = [*SENTENCES, "A pear.", "The red dog reads nine books."]
PAIRS = list(zip(TEXTS, reversed(TEXTS), strict=True))


def make_classifier_bundle(directory, precision="fp32", architecture=FIXED_HEADS, tokenizer=None, **options):
    """A bundle with random weights in the new folder `directory`; returns its path. `tokenizer`: a file."""
    tokenizer = tokenizer or train_tokenizer(directory.parent / "text.model")
    spec = classifier_spec(open_text_encoder(tokenizer).vocabulary, **options)
    weights = classifier_weights(architecture, spec, seed=3)
    description = describe_classifier(architecture, spec, max_tokens=40, built_from={"model": "test"})
    texts = random_texts(np.random.default_rng(1), [12] * 30, spec)
    ranges = calibrate_classifier(architecture, spec, weights, texts) if precision == "int8" else None
    write_classifier_bundle(directory, (architecture, spec, weights), precision, ranges, tokenizer, description)
    return directory


def wordpiece_file(path):
    """A tokenizer.json like BERT's for TEXTS: [PAD] 0, [CLS] 3, [SEP] 4."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = sorted({word for text in TEXTS for word in text.replace(".", " .").replace(",", " ,").split()})
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[MASK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 4), ("[CLS]", 3))
    tokenizer.save(str(path))
    return path
