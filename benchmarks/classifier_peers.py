"""The peer of the classifier benchmark: transformers' BERT as onnxruntime's own tools export and optimise it."""

import logging
import sys
import warnings

import numpy as np

from hat.models.classifier_spec import ClassifierSpec

PARTS = ("weight", "bias")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# Names of a layer's weights in transformers -> ours, without what is before and behind.
LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "self_attn_layer_norm",
    "intermediate.dense": "fc1",
    "output.dense": "fc2",
    "output.LayerNorm": "final_layer_norm",
}
OUTSIDE = {
    "bert.embeddings.word_embeddings": "encoder.embed_tokens",
    "bert.embeddings.position_embeddings": "encoder.embed_positions",
    "bert.embeddings.token_type_embeddings": "encoder.embed_segments",
    "bert.embeddings.LayerNorm": "encoder.embedding_layer_norm",
    "bert.pooler.dense": "pooler",
    "classifier": "classifier",
}


def write_peers(folder, architecture, vocabulary, seed):
    """Write fp32.onnx and int8.onnx of a BERT with random weights; its ClassifierSpec and weights {name: array}."""
    import torch

    sys.modules.setdefault("torchaudio", None)  # transformers would import it, and fail where it fits another torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    encoder = architecture.encoder
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=encoder.embed_dim,
        num_hidden_layers=encoder.layers,
        num_attention_heads=encoder.self_attention_heads[0],
        intermediate_size=encoder.ffn_dim[0],
        num_labels=2,
        initializer_range=2 * encoder.embed_dim**-0.5,  # so that logits differ from text to text
        attn_implementation="eager",  # what onnxruntime's optimiser knows
    )
    model = BertForSequenceClassification(config).eval()
    _export(model, folder, encoder)
    spec = ClassifierSpec(
        vocabulary=vocabulary,
        labels=("negative", "positive"),
        position_dim=encoder.embed_dim,
        positions="learned",
        max_positions=config.max_position_embeddings,
        first=101,
        separator=102,
        segments=config.type_vocab_size,
        normalize_embedding=True,
        activation="gelu",
        layer_norm_epsilon=config.layer_norm_eps,
        padding=config.pad_token_id,
    )
    return spec, _our_weights({name: tensor.numpy() for name, tensor in model.state_dict().items()}, encoder.layers)


def _export(model, folder, encoder):
    import torch
    from onnxruntime.transformers import optimizer

    tokens = torch.arange(1000, 1009)[None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (tokens, torch.ones_like(tokens), torch.zeros_like(tokens)),
            str(folder / "plain.onnx"),
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "time"} for name in INPUTS},
            opset_version=17,
            dynamo=False,
        )
    optimised = optimizer.optimize_model(
        str(folder / "plain.onnx"),
        model_type="bert",
        num_heads=encoder.self_attention_heads[0],
        hidden_size=encoder.embed_dim,
    )
    fused = optimised.get_fused_operator_statistics()
    if fused["Attention"] != encoder.layers or fused["BiasGelu"] != encoder.layers:
        raise ValueError(f"onnxruntime's optimiser did not fuse all layers: {fused}")
    optimised.save_model_to_file(str(folder / "fp32.onnx"))
    quantise(folder)


def quantise(folder):
    """Write int8.onnx of the fp32.onnx in `folder`, as onnxruntime's own tool quantises it."""
    from onnx import TensorProto
    from onnxruntime.quantization import quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # quantize_dynamic would advise what the optimiser has done
    quantize_dynamic(
        str(folder / "fp32.onnx"), str(folder / "int8.onnx"), extra_options={"DefaultTensorType": TensorProto.FLOAT}
    )


def _our_weights(theirs, layers):
    weights = {}

    def take(name, ours):
        weights.update({f"{ours}.{part}": theirs[f"{name}.{part}"] for part in PARTS if f"{name}.{part}" in theirs})

    for name, ours in OUTSIDE.items():
        take(name, ours)
    for layer in range(layers):
        name, ours = f"bert.encoder.layer.{layer}", f"encoder.layers.{layer}"
        for inner, our_inner in LAYER.items():
            take(f"{name}.{inner}", f"{ours}.{our_inner}")
        for part in PARTS:
            kinds = [theirs[f"{name}.attention.self.{kind}.{part}"] for kind in ("query", "key", "value")]
            weights[f"{ours}.self_attn.qkv_proj.{part}"] = np.concatenate(kinds)
    return weights
