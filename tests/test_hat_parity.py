"""Our SuperTransformer gives the logits that HAT's own code gave with the same weights."""

import json

import numpy as np
import pytest
import torch
from hat_configs import architecture_from_hat_gene
from shared_data import reference_files

from hat.architecture.complexity import count_parameters
from hat.architecture.space import DecoderSpace, EncoderSpace, SearchSpace
from hat.models.hat_checkpoint import supertransformer_from_hat


def space_of(cases, model):
    """The smallest space around the listed architectures whose largest network has the weights' sizes."""
    architectures = [architecture_from_hat_gene(case, model["qkv_dim"]) for case in cases]

    def choices(stack, field, full):
        values = {full}
        for architecture in architectures:
            value = getattr(getattr(architecture, stack), field)
            values |= set(value) if isinstance(value, tuple) else {value}
        return tuple(values)

    def stack_choices(name, cls):
        full = {
            "embed_dim": model[f"{name}_embed_dim"],
            "layers": model[f"{name}_layers"],
            "ffn_dim": model[f"{name}_ffn_embed_dim"],
            "self_attention_heads": model[f"{name}_attention_heads"],
            "cross_attention_heads": model[f"{name}_attention_heads"],
            "cross_attention_span": 1,
        }
        return cls(**{field: choices(name, field, full[field]) for field in cls.__dataclass_fields__ if field in full})

    return SearchSpace(model["qkv_dim"], stack_choices("encoder", EncoderSpace), stack_choices("decoder", DecoderSpace))


@pytest.mark.parametrize("path", reference_files("hat_parity", "*.json"), ids=lambda path: path.stem)
def test_logits_and_parameters_equal_hats_own(path):
    reference = json.loads(path.read_text())
    arrays = np.load(path.with_suffix(".npz"))
    state = {
        name.removeprefix("weight/"): torch.from_numpy(arrays[name])
        for name in arrays.files
        if name.startswith("weight/")
    }
    space = space_of(reference["architectures"], reference["model"])
    model = supertransformer_from_hat(state, space)
    assert model.spec.share_all_embeddings == reference["share_all_embeddings"]
    src, prev = torch.from_numpy(arrays["src_tokens"]), torch.from_numpy(arrays["prev_output_tokens"])
    for index, case in enumerate(reference["architectures"]):
        architecture = architecture_from_hat_gene(case, reference["model"]["qkv_dim"])
        model.activate(architecture)
        with torch.no_grad():
            logits = model(src, prev).numpy()
            extracted = model.extract(architecture)(src, prev).numpy()
        np.testing.assert_allclose(logits, arrays[f"logits_{index}"], atol=1e-4, rtol=0)
        np.testing.assert_allclose(extracted, logits, atol=1e-5, rtol=0)
        assert count_parameters(architecture, model.spec)[1] == case["params"]
