"""Options of our fairseq models; their sizes come from the task's --hat-config, their weights are float32."""

from dataclasses import dataclass, field
from typing import Optional

from fairseq.dataclass import FairseqDataclass

from hat.architecture.file import load_architecture
from hat.architecture.stacks import Architecture
from hat.experiment.sections import Experiment


@dataclass
class HatModelConfig(FairseqDataclass):
    autocast_bf16: bool = field(default=False, metadata={"help": "compute in bfloat16; weights stay float32"})


@dataclass
class HatTransformerConfig(HatModelConfig):
    hat_architecture: Optional[str] = field(  # noqa: UP045 (fairseq's argument parser knows no other spelling)
        default=None, metadata={"help": "architecture YAML (default: the full-size Transformer of the search space)"}
    )


def chosen_architecture(cfg: HatTransformerConfig, experiment: Experiment) -> Architecture:
    """The Architecture that a HatTransformerConfig means."""
    if cfg.hat_architecture:
        return load_architecture(cfg.hat_architecture)
    return experiment.search_space.full_transformer()
