"""Small Transformers and bundles for tests of hat.deploy."""

import numpy as np
import torch

from hat.architecture.complexity import is_embedding, parameter_shapes
from hat.architecture.stacks import Architecture, DecoderArchitecture, EncoderArchitecture
from hat.config import to_mapping
from hat.deploy.beam_search import BeamSearch
from hat.deploy.building.bundle_writer import write_bundle
from hat.deploy.building.graphs import build_graphs
from hat.deploy.sessions import Sessions
from hat.models.translation import Transformer
from hat.models.translation_spec import ModelSpec

# Wide spans and heads that differ from layer to layer, a narrow encoder.
WIDE_DECODER = Architecture(
    32,
    EncoderArchitecture(24, ffn_dim=(40, 32, 20), self_attention_heads=(4, 2, 8)),
    DecoderArchitecture(28, (36, 44), (2, 4), cross_attention_heads=(4, 8), cross_attention_span=(1, 3)),
)
# One encoder layer, a narrow and deeper decoder.
WIDE_ENCODER = Architecture(
    32,
    EncoderArchitecture(32, ffn_dim=(40,), self_attention_heads=(4,)),
    DecoderArchitecture(24, (36, 44, 20), (2, 4, 1), cross_attention_heads=(4, 8, 2), cross_attention_span=(1, 1, 1)),
)
EQUAL_WIDTHS = Architecture(
    32,
    EncoderArchitecture(32, ffn_dim=(40,) * 4, self_attention_heads=(4,) * 4),
    DecoderArchitecture(32, (36,), (2,), cross_attention_heads=(4,), cross_attention_span=(2,)),
)
POSITION_DIMS = {"encoder_position_dim": 40, "decoder_position_dim": 36}  # wider than any of them


def make_spec(vocabulary=50, source_vocabulary=None, **options):
    return ModelSpec(source_vocabulary or vocabulary, vocabulary, **POSITION_DIMS, **options)


def peaked_weights(architecture, spec, seed, scale=3.0):
    """Random weights with varied predictions far from uniform, </s> often among the likely ones."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in parameter_shapes(architecture, spec).items():
        weight = rng.standard_normal(shape, dtype=np.float32)
        if len(shape) == 2:
            weight *= shape[1] ** -0.5
        elif not name.endswith("layer_norm.weight"):  # those stay of any sign, lest each token predict itself
            weight *= 0.3
        if is_embedding(name):
            weight *= scale
        weights[name] = weight
    last_norm = f"decoder.layers.{architecture.decoder.layers - 1}.final_layer_norm"
    matrix = [name for name in weights if is_embedding(name)][-1]  # the output product's: it comes last
    end = weights[matrix][spec.end_of_sentence, : architecture.decoder.embed_dim]
    weights["decoder.layer_norm.bias" if spec.normalize_before else f"{last_norm}.bias"] += 2.0 * end / scale
    return weights


def torch_model(architecture, spec, weights):
    model = Transformer(architecture, spec)
    model.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    return model.eval()


def left_padded(sources, padding=1):
    """Token ids as fairseq feeds them: (batch, time) int64, padding on the left."""
    width = max(map(len, sources))
    return torch.tensor([[padding] * (width - len(source)) + list(source) for source in sources])


def beam_search(architecture, spec, weights, precision="fp32", ranges=None):
    graphs = build_graphs(architecture, spec, weights, precision, ranges)
    return BeamSearch(Sessions({name: graph.SerializeToString() for name, graph in graphs.items()}, threads=1))


def random_sources(rng, lengths, vocabulary=50):
    return [[*rng.integers(4, vocabulary, length - 1).tolist(), 2] for length in lengths]


SENTENCES = [
    "The old man reads a long book.",
    "A red dog runs over the green field.",
    "Two women talk at the table.",
    "The train leaves at half past nine.",
    "She buys three apples and a pear.",
]


TOKENIZER_SIZE = 48


def train_tokenizer(path, vocabulary=TOKENIZER_SIZE):
    """A SentencePiece model of SENTENCES with fairseq's special ids at `path`."""
    import sentencepiece

    with open(path, "wb") as handle:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES * 3),
            model_writer=handle,
            vocab_size=vocabulary,
            bos_id=0,
            pad_id=1,
            eos_id=2,
            unk_id=3,
            minloglevel=2,
        )
    return path


def make_bundle(directory, precision="fp32", architecture=WIDE_DECODER, max_source_tokens=40, **options):
    """A bundle with random weights in the new folder `directory`; returns its path."""
    tokenizer = train_tokenizer(directory.parent / "tokenizer.model")
    spec = make_spec(TOKENIZER_SIZE, **options)
    weights = peaked_weights(architecture, spec, seed=3)
    description = {
        "precision": precision,
        "architecture": architecture.to_dict(),
        "spec": to_mapping(spec),
        "source_lang": "en",
        "target_lang": "xx",
        "max_source_tokens": max_source_tokens,
        "search": {"beam": 3, "lenpen": 1.0, "max_len_a": 1.2, "max_len_b": 10},
        "built_from": {"model": "test"},
    }
    graphs = build_graphs(architecture, spec, weights, precision)
    write_bundle(directory, graphs, {"source": tokenizer, "target": tokenizer}, description)
    return directory


def blocking_imports(allowed):
    """Code after which nothing can be imported but the packages `allowed` and what Python brings along."""
    return f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in {allowed!r} and name.split(".")[0] not in sys.stdlib_module_names:
            raise ModuleNotFoundError(name + " is not installed here", name=name)
sys.meta_path.insert(0, Blocker())
"""
