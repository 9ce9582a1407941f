"""Models for benchmarks of the decoder: the same weights for fairseq, CTranslate2 and HAT.

Nobody trains for a benchmark: the weights are random, but the output layer's row of </s> is fitted to the decoder's
states so that translations end after about as many tokens as their sources have.
"""

from pathlib import Path

import numpy as np

from hat.architecture.complexity import parameter_shapes
from hat.architecture.stacks import Architecture, DecoderArchitecture, EncoderArchitecture
from hat.models.translation_spec import ModelSpec

VOCABULARY = 7872
PADDING, END = 1, 2
WORDS = range(4, VOCABULARY)  # ids that aren't special
FITTED_SENTENCES = 200
STEPS_BEYOND = 8  # how far the fit looks past the end
LOGIT_DEVIATION = 4.0  # of the words' logits: the likeliest word has about the probability that a trained model gives
STEEPNESS = 2.0  # how much the logit of </s> grows from step to step


def architectures():
    """{"A": 6+6 layers of 512, "B": 3+1 layers of 256}"""
    return {"A": _architecture(6, 6, 512, 2048, 8), "B": _architecture(3, 1, 256, 1024, 4)}


def _architecture(encoder_layers, decoder_layers, dim, ffn_dim, heads):
    encoder = EncoderArchitecture(dim, (ffn_dim,) * encoder_layers, (heads,) * encoder_layers)
    per_layer = [(value,) * decoder_layers for value in (ffn_dim, heads, heads, 1)]
    return Architecture(dim, encoder, DecoderArchitecture(dim, *per_layer))


def make_model(architecture, seed, sources):
    """(spec, weights {name: array}, torch model) whose translations of sources like `sources` end by themselves."""
    import torch

    from hat.models.translation import Transformer

    dim = architecture.decoder.embed_dim
    spec = ModelSpec(
        VOCABULARY, VOCABULARY, dim, dim, share_all_embeddings=False, share_decoder_input_output_embed=False
    )
    weights = _random_weights(architecture, spec, np.random.default_rng(seed))
    model = Transformer(architecture, spec).eval()
    model.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    _fit_ends(model, weights["decoder.output_projection.weight"], sources[:FITTED_SENTENCES], seed)
    model.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    return spec, weights, model


def _random_weights(architecture, spec, rng):
    weights = {}
    for name, shape in parameter_shapes(architecture, spec).items():
        if name.endswith("layer_norm.weight"):
            weights[name] = np.ones(shape, np.float32)
        elif len(shape) == 1:
            weights[name] = np.zeros(shape, np.float32)
        else:
            deviation = shape[1] ** -0.5 * _layer_share(architecture, name)
            weights[name] = rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)
    # The first feature of the decoder's states becomes 1 everywhere, so that a row of the output layer has an offset.
    last = f"decoder.layers.{architecture.decoder.layers - 1}.final_layer_norm"
    weights[f"{last}.weight"][0], weights[f"{last}.bias"][0] = 0.0, 1.0
    output = weights["decoder.output_projection.weight"]
    output *= np.float32(LOGIT_DEVIATION)
    output[:, 0] = 0.0
    output[: WORDS[0]] = 0.0  # padding and its like are never likely
    return weights


def _layer_share(architecture, name):
    """By how much to weaken what a layer adds, lest many layers forget which token and which step they are at."""
    if not name.endswith(("self_attn.out_proj.weight", "fc2.weight")):
        return 1.0
    stack = architecture.encoder if name.startswith("encoder.") else architecture.decoder
    return 0.5 * stack.layers**-0.5


def _fit_ends(model, output, sources, seed):
    """Set the row of </s> in `output` so that its logit passes the others' where a target is as long as its source."""
    import torch

    rng = np.random.default_rng(seed)
    states, beyond = [], []
    for source in sources:
        words = len(source) - 1
        target = [END, *rng.choice(WORDS, words + STEPS_BEYOND).tolist()]
        with torch.inference_mode():
            features = model.decoder.features(torch.tensor([target]), model.encoder(torch.tensor([source])))
        states.append(features[0].numpy())
        beyond.append(np.arange(len(target)) - words)
    states, beyond = np.concatenate(states), np.concatenate(beyond)
    likeliest = (states @ output.T).max(axis=1).mean()
    penalty = 1e-3 * len(states) * np.diag(np.arange(states.shape[1]) > 0)
    output[END] = STEEPNESS * np.linalg.solve(states.T @ states + penalty, states.T @ beyond)
    output[END, 0] += likeliest


def write_hat_bundle(directory, model, architecture, spec, weights, precision, sources):
    """A bundle of the model in the new folder `directory`; int8 is calibrated on `sources` as their own targets."""
    from hat.config import to_mapping
    from hat.deploy.building.bundle_writer import write_bundle
    from hat.deploy.building.graphs import build_graphs
    from hat.export.translation.calibration import calibrate

    ranges = calibrate(model, [(source, source) for source in sources[:20]]) if precision == "int8" else None
    description = {
        "precision": precision,
        "architecture": architecture.to_dict(),
        "spec": to_mapping(spec),
        "source_lang": "en",
        "target_lang": "de",
        "max_source_tokens": 200,
        "search": {"beam": 5, "lenpen": 1.0, "max_len_a": 1.2, "max_len_b": 10},
        "built_from": {"model": "benchmark"},
    }
    tokenizer = _tokenizer(Path(directory).parent / "benchmark.model")
    graphs = build_graphs(architecture, spec, weights, precision, ranges)
    write_bundle(directory, graphs, {"source": tokenizer, "target": tokenizer}, description)


def _tokenizer(path):
    """Any SentencePiece model: the benchmark's sentences are ids already."""
    import sentencepiece

    with open(path, "wb") as handle:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a bundle holds a tokenizer"] * 5),
            model_writer=handle,
            vocab_size=20,
            minloglevel=2,
        )
    return path
