"""Optimiser `hat_adam`: fairseq's Adam (decoupled weight decay) computed by torch's fused kernel."""

from collections.abc import Iterable
from typing import Any

import torch
from fairseq.optim import FairseqOptimizer, register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig


@register_optimizer("hat_adam", dataclass=FairseqAdamConfig)
class HatAdam(FairseqAdam):
    """A tensor that nothing of an update uses gets no gradient and stands still, on any number of ranks.

    Of a tensor that is used in part, the other rows and columns have gradient zero: they follow Adam's momentum and
    shrink by rate x decay, as with HAT's own code. Under fairseq's --fp16 so do tensors that nothing uses.
    """

    def __init__(self, cfg: Any, params: Iterable[torch.nn.Parameter]) -> None:
        FairseqOptimizer.__init__(self, cfg)
        self._optimizer = torch.optim.AdamW(list(params), fused=True, **self.optimizer_config)

    def all_reduce_grads(self, module: Any) -> None:
        """Sum gradients over ranks; what no rank used (legacy_ddp fills in zeros) has none afterwards either."""
        unused = [parameter for parameter in self.params if parameter.grad is None]
        super().all_reduce_grads(module)
        for parameter in unused:
            parameter.grad = None
