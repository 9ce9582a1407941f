"""The peers of the decoder benchmark: a fairseq model and a CTranslate2 model with given weights."""

import argparse
from pathlib import Path

import numpy as np
from decoder_models import PADDING, VOCABULARY

MOST_POSITIONS = 512
VERSION = 3.0  # of the layout of weights that fairseq writes today
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


class FairseqModel:
    """fairseq's own transformer in eager mode, searched by its SequenceGenerator.

    `architecture` is one whose attention is as wide as its layers, as fairseq's is, and all of whose layers are alike.
    """

    def __init__(self, architecture, spec, weights):
        import torch
        from fairseq.data import Dictionary

        dictionaries = []
        for size in (spec.source_vocabulary, spec.target_vocabulary):
            dictionaries.append(Dictionary())
            for token in range(len(SPECIAL), size):
                dictionaries[-1].add_symbol(word(token))
        if spec.share_all_embeddings:
            dictionaries[1] = dictionaries[0]
        self._dictionary, self._generators = dictionaries[1], {}
        self.model = _fairseq_transformer(architecture, spec, *dictionaries).eval()
        state = {name: torch.from_numpy(weight) for name, weight in _fairseq_weights(weights).items()}
        # Without a version fairseq takes the weights for old ones, and drops the norm after the last layer.
        state |= {f"{side}.version": torch.tensor([VERSION]) for side in ("encoder", "decoder")}
        missing, unexpected = self.model.load_state_dict(state, strict=False)
        if unexpected or not all("_float_tensor" in name for name in missing):
            raise ValueError(f"not fairseq's weights: missing {missing}, unexpected {unexpected}")

    def translate(self, sources, beam, forced_steps=None):
        """fairseq's hypotheses, best first, for each source of one batch."""
        import torch

        if (beam, forced_steps) not in self._generators:
            self._generators[beam, forced_steps] = self._generator(beam, forced_steps)
        generator = self._generators[beam, forced_steps]
        width = max(map(len, sources))
        tokens = torch.tensor([[PADDING] * (width - len(source)) + list(source) for source in sources])
        sample = {"src_tokens": tokens, "src_lengths": torch.tensor([len(source) for source in sources])}
        with torch.inference_mode():
            return generator.generate([self.model], {"net_input": sample})

    def _generator(self, beam, forced_steps):
        from fairseq.sequence_generator import SequenceGenerator

        lengths = {"max_len_a": 1.2, "max_len_b": 10}
        if forced_steps:
            lengths = {"max_len_a": 0, "max_len_b": forced_steps - 1, "min_len": forced_steps - 1}
        return SequenceGenerator([self.model], self._dictionary, beam_size=beam, **lengths)


def _fairseq_transformer(architecture, spec, source_dictionary, target_dictionary):
    from fairseq.models.transformer import TransformerModel, base_architecture

    settings = argparse.Namespace(max_source_positions=MOST_POSITIONS, max_target_positions=MOST_POSITIONS)
    for name in ("share_all_embeddings", "share_decoder_input_output_embed"):
        setattr(settings, name, getattr(spec, name))
    settings.activation_fn = spec.activation
    for side, stack in (("encoder", architecture.encoder), ("decoder", architecture.decoder)):
        setattr(settings, f"{side}_embed_dim", stack.embed_dim)
        setattr(settings, f"{side}_ffn_embed_dim", stack.ffn_dim[0])
        setattr(settings, f"{side}_layers", stack.layers)
        setattr(settings, f"{side}_attention_heads", stack.self_attention_heads[0])
        setattr(settings, f"{side}_normalize_before", spec.normalize_before)
    base_architecture(settings)
    task = argparse.Namespace(source_dictionary=source_dictionary, target_dictionary=target_dictionary)
    return TransformerModel.build_model(settings, task)


def _fairseq_weights(weights):
    """The weights under fairseq's names: query, key and value apart, and shared ones under each of their names."""
    renamed = {}
    for name, weight in weights.items():
        for stacked, parts in ((".qkv_proj.", "qkv"), (".kv_proj.", "kv")):
            if stacked in name:
                for part, array in zip(parts, np.split(weight, len(parts)), strict=True):
                    renamed[name.replace(stacked, f".{part}_proj.")] = np.ascontiguousarray(array)
                break
        else:
            renamed[name] = weight
    shared = renamed.setdefault("decoder.embed_tokens.weight", renamed["encoder.embed_tokens.weight"])
    renamed.setdefault("decoder.output_projection.weight", shared)
    return renamed


def write_ctranslate2_model(directory, architecture, weights, vocabulary_map, quantization=None):
    """A CTranslate2 model in the new folder `directory`; its vocabulary map has the ids of `vocabulary_map` always.

    `quantization` is how its weights are stored, None for float32.
    """
    import ctranslate2.specs as specs

    weights = {name: weight.copy() for name, weight in weights.items()}  # quantising changes them in place
    layers = (architecture.encoder.layers, architecture.decoder.layers)
    heads = architecture.encoder.self_attention_heads[0]
    spec = specs.TransformerSpec.from_config(layers, heads, pre_norm=False, activation=specs.Activation.RELU)
    spec.config.decoder_start_token = "</s>"
    for side in ("encoder", "decoder"):
        stack = getattr(spec, side)
        embeddings = stack.embeddings[0] if isinstance(stack.embeddings, list) else stack.embeddings
        embeddings.weight = weights[f"{side}.embed_tokens.weight"]
        stack.scale_embeddings = True
        stack.position_encodings.encodings = _positions(embeddings.weight.shape[1])
        for index, layer in enumerate(stack.layer):
            _fill_layer(layer, weights, f"{side}.layers.{index}")
    spec.decoder.projection.weight = weights["decoder.output_projection.weight"]
    tokens = SPECIAL + [word(token) for token in range(len(SPECIAL), VOCABULARY)]
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.validate()
    spec.optimize(quantization=quantization)
    Path(directory).mkdir()
    spec.save(str(directory))
    always = " ".join(word(token) for token in vocabulary_map)
    (Path(directory) / "vmap.txt").write_text(f"\t{always}\n", encoding="utf-8")


def _positions(dim):
    """fairseq's sinusoids, which begin after the padding's position."""
    half = dim // 2
    frequencies = np.exp(np.arange(half) * -(np.log(10000) / (half - 1)))
    angles = np.arange(PADDING + 1, PADDING + 1 + MOST_POSITIONS)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _fill_layer(layer, weights, prefix):
    def linear(target, name):
        target.weight, target.bias = weights[f"{prefix}.{name}.weight"], weights[f"{prefix}.{name}.bias"]

    def norm(target, name):
        target.gamma, target.beta = weights[f"{prefix}.{name}.weight"], weights[f"{prefix}.{name}.bias"]

    linear(layer.self_attention.linear[0], "self_attn.qkv_proj")
    linear(layer.self_attention.linear[1], "self_attn.out_proj")
    norm(layer.self_attention.layer_norm, "self_attn_layer_norm")
    if prefix.startswith("decoder"):
        for index, name in enumerate(("q_proj", "kv_proj", "out_proj")):
            linear(layer.attention.linear[index], f"encoder_attn.{name}")
        norm(layer.attention.layer_norm, "encoder_attn_layer_norm")
    linear(layer.ffn.linear_0, "fc1")
    linear(layer.ffn.linear_1, "fc2")
    norm(layer.ffn.layer_norm, "final_layer_norm")


def word(token):
    """The text of an id, for CTranslate2."""
    return SPECIAL[token] if token < len(SPECIAL) else f"w{token}"


def open_ctranslate2(directory, compute_type):
    import ctranslate2

    return ctranslate2.Translator(
        str(directory), device="cpu", compute_type=compute_type, intra_threads=1, inter_threads=1
    )
