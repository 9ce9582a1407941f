"""fairseq's view of our translators: `hat_supertransformer` and `hat_transformer`, for its trainer and beam search."""

from typing import TYPE_CHECKING, Any

import torch
from fairseq.models import (
    FairseqEncoder,
    FairseqEncoderDecoderModel,
    FairseqIncrementalDecoder,
    register_model,
)
from torch import Tensor

from hat.architecture.stacks import Architecture
from hat.fairseq_plugin.model_config import HatModelConfig, HatTransformerConfig, chosen_architecture
from hat.models.translation import Decoder, Encoder, EncoderOutput, SuperTransformer, Transformer

if TYPE_CHECKING:
    from fairseq.data import Dictionary


class _Encoder(FairseqEncoder):
    """Lends a hat.models.translation.Encoder to fairseq; the weights stay registered in the model's `transformer`."""

    def __init__(self, dictionary: "Dictionary", encoder: Encoder) -> None:
        super().__init__(dictionary)
        self._encoder = (encoder,)

    def forward(self, src_tokens: Tensor, src_lengths: Tensor | None = None) -> EncoderOutput:
        """src_tokens (batch, source) -> hat.models.translation.EncoderOutput"""
        return self._encoder[0](src_tokens)

    def reorder_encoder_out(self, encoder_out: EncoderOutput, new_order: Tensor) -> EncoderOutput:
        return encoder_out.select(new_order)


class _Decoder(FairseqIncrementalDecoder):
    """Lends a hat.models.translation.Decoder to fairseq; a DecoderCache lives in fairseq's incremental state."""

    def __init__(self, dictionary: "Dictionary", decoder: Decoder) -> None:
        super().__init__(dictionary)
        self._decoder = (decoder,)

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: EncoderOutput | None = None,
        incremental_state: dict[str, Any] | None = None,
    ) -> tuple[Tensor, None]:
        """-> (logits (batch, target or 1 if incremental, vocabulary), None)"""
        cache = None
        if incremental_state is not None:
            cache = incremental_state.setdefault("cache", self._decoder[0].new_cache())
        return self._decoder[0](prev_output_tokens, encoder_out, cache), None

    def reorder_incremental_state(self, incremental_state: dict[str, Any], new_order: Tensor) -> None:
        if "cache" in incremental_state:
            incremental_state["cache"].reorder(new_order)


class HatModel(FairseqEncoderDecoderModel):
    """A Transformer or SuperTransformer (`.transformer`, which holds all weights) as a fairseq model."""

    def __init__(
        self,
        transformer: Transformer,
        source_dictionary: "Dictionary",
        target_dictionary: "Dictionary",
        autocast_bf16: bool = False,
    ) -> None:
        super().__init__(
            _Encoder(source_dictionary, transformer.encoder), _Decoder(target_dictionary, transformer.decoder)
        )
        self.transformer = transformer
        self.autocast_bf16 = autocast_bf16

    def forward(
        self, src_tokens: Tensor, src_lengths: Any, prev_output_tokens: Tensor, features_only: bool = False
    ) -> tuple[Tensor, None]:
        """Tokens (batch, source), (batch, target) -> (logits (batch, target, vocabulary), None).

        With `features_only`, in place of the logits, what `output_weight` turns into them: (batch, target, embed_dim).
        """
        encoder, decoder = self.transformer.encoder, self.transformer.decoder
        with torch.autocast(src_tokens.device.type, torch.bfloat16, enabled=self.autocast_bf16):
            compute = decoder.features if features_only else decoder
            return compute(prev_output_tokens, encoder(src_tokens)), None

    def output_weight(self) -> Tensor:
        """The active columns of the output embedding: (vocabulary, embed_dim)."""
        return self.transformer.decoder.output_weight()


@register_model("hat_supertransformer", dataclass=HatModelConfig)
class HatSuperTransformerModel(HatModel):
    """The SuperTransformer of the task's search space."""

    transformer: SuperTransformer

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "HatSuperTransformerModel":
        transformer = SuperTransformer(task.experiment.search_space, task.model_spec())
        return cls(transformer, task.source_dictionary, task.target_dictionary, cfg.autocast_bf16)

    def activate(self, architecture: Architecture) -> None:
        """Compute this SubTransformer from now on."""
        self.transformer.activate(architecture)


@register_model("hat_transformer", dataclass=HatTransformerConfig)
class HatTransformerModel(HatModel):
    """One standalone Transformer."""

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "HatTransformerModel":
        transformer = Transformer(chosen_architecture(cfg, task.experiment), task.model_spec())
        return cls(transformer, task.source_dictionary, task.target_dictionary, cfg.autocast_bf16)
