"""Beam search by fairseq's SequenceGenerator: the reference for every other translator here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from fairseq import utils
from fairseq.sequence_generator import SequenceGenerator

from hat.fairseq_plugin.datasets import load_dictionary, load_split, source_batches
from hat.fairseq_plugin.translation_model import HatModel

if TYPE_CHECKING:
    from hat.data.translation.prepared import PreparedData
    from hat.models.translation import Transformer


MAX_TOKENS = 4096


def translate_ids(
    model: "Transformer",
    prepared: "PreparedData",
    split_or_sources: str | Sequence[Sequence[int]],
    beam: int = 5,
    lenpen: float = 1.0,
    max_len_a: float = 1.2,
    max_len_b: int = 10,
) -> list[tuple[list[int], float]]:
    """Translate a prepared split (by name) or a list of source id lists with a hat.models.translation.Transformer.

    Returns, in input order, the best hypothesis of each: (target ids without </s>, score), the score being the
    log-probability divided by length ** lenpen. A translation has at most max_len_a * source length + max_len_b tokens.
    Computed where the model's weights are.
    """
    source = load_dictionary(prepared, prepared.source_lang)
    target = load_dictionary(prepared, prepared.target_lang)
    generator = SequenceGenerator(
        [HatModel(model, source, target).eval()],
        target,
        beam_size=beam,
        max_len_a=max_len_a,
        max_len_b=max_len_b,
        len_penalty=lenpen,
    )
    sources: Any = split_or_sources
    if isinstance(split_or_sources, str):
        sources = [ids.tolist() for ids in load_split(prepared, split_or_sources).src]
    hypotheses: list[Any]
    device, hypotheses = next(model.parameters()).device, [None] * len(sources)
    with torch.inference_mode():
        for sample in source_batches(sources, source, MAX_TOKENS):
            generated = generator.generate(None, utils.apply_to_sample(lambda tensor: tensor.to(device), sample))
            for index, found in zip(sample["id"].tolist(), generated, strict=True):
                hypotheses[index] = (found[0]["tokens"].tolist()[:-1], float(found[0]["score"]))
    return hypotheses
