"""The peers of the language-model benchmark: GPT-2 of transformers, for onnxruntime and for CTranslate2."""

import importlib.util
import logging
import sys
import warnings

import numpy as np
from classifier_peers import quantise

WORD = "w{}"  # the text of a word's number, for CTranslate2


def gpt2(layers, dim, ffn_dim, heads, vocabulary, positions, seed):
    """A GPT2LMHeadModel with random weights."""
    import torch

    sys.modules.setdefault("torchaudio", None)  # transformers would import it, and fail where it fits another torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=positions,
        n_embd=dim,
        n_layer=layers,
        n_head=heads,
        n_inner=ffn_dim,
        activation_function="relu",
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",
    )
    return GPT2LMHeadModel(config).eval()


def write_onnx(folder, model):
    """Write fp32.onnx and int8.onnx: words (1, time) and key.N, value.N in, logits and all keys and values out."""
    import torch
    from onnxruntime.transformers import optimizer

    config = model.config
    names = [f"{kind}.{layer}" for layer in range(config.n_layer) for kind in ("key", "value")]
    axes = {"words": {1: "time"}, "logits": {1: "time"}}
    axes |= {name: {2: "kept"} for name in names} | {f"new_{name}": {2: "all"} for name in names}
    past = [torch.zeros(1, config.n_head, 5, config.n_embd // config.n_head) for _ in names]
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _step_of(model),
            (torch.arange(4)[None], *past),
            str(folder / "plain.onnx"),
            input_names=["words", *names],
            output_names=["logits", *(f"new_{name}" for name in names)],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
    optimised = optimizer.optimize_model(
        str(folder / "plain.onnx"), model_type="gpt2", num_heads=config.n_head, hidden_size=config.n_embd
    )
    optimised.save_model_to_file(str(folder / "fp32.onnx"))
    quantise(folder)


def _step_of(model):
    """`model` as a function of words and of the keys and values before them."""
    import torch
    from transformers import DynamicCache

    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, words, *past):
            cache = DynamicCache()
            for layer in range(len(past) // 2):
                cache.update(*past[2 * layer : 2 * layer + 2], layer)
            kept, time = past[0].shape[2], words.shape[1]
            places = torch.arange(kept + time)
            own = places[kept:]  # transformers would take it, and the mask, for constants
            hidden = torch.where(places[None] > own[:, None], -1e9, 0.0)[None, None]
            found = self.model(words, past_key_values=cache, position_ids=own[None], attention_mask=hidden)
            return found.logits, *(part for each in found.past_key_values.layers for part in (each.keys, each.values))

    return Step().eval()


class OnnxGpt2:
    """An export of `write_onnx`, in a session of its own."""

    def __init__(self, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        shapes = {each.name: each.shape for each in self._session.get_inputs()[1:]}
        self._empty = {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in shapes.items()}

    def generate(self, prompt, count):
        """The `count` likeliest words, one after the other, behind numbers `prompt`."""
        memory, read, written = self._empty, prompt, []
        for _ in range(count):
            logits, *kept = self._session.run(None, {"words": np.array([read]), **memory})
            memory = dict(zip(self._empty, kept, strict=True))
            read = [int(logits[0, -1].argmax())]
            written += read
        return written


def has_ctranslate2():
    return importlib.util.find_spec("ctranslate2") is not None


class CTranslate2Gpt2:
    """`model` converted by CTranslate2 into the new folder `path`, to compute in `compute_type`."""

    def __init__(self, path, model, compute_type):
        import ctranslate2
        from ctranslate2.converters.transformers import GPT2Loader

        spec = GPT2Loader().get_model_spec(model)
        spec.register_vocabulary([WORD.format(number) for number in range(model.config.vocab_size)])
        spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = WORD.format(0)
        spec.validate()
        spec.optimize(quantization=None if compute_type == "float32" else compute_type)
        path.mkdir()
        spec.save(str(path))
        self._generator = ctranslate2.Generator(
            str(path), device="cpu", compute_type=compute_type, intra_threads=1, inter_threads=1
        )

    def generate(self, prompt, count):
        """The `count` likeliest words, one after the other, behind numbers `prompt`."""
        found = self._generator.generate_batch(
            [[WORD.format(number) for number in prompt]],
            max_length=count,
            end_token=[],
            include_prompt_in_result=False,
        )
        return found[0].sequences_ids[0]
