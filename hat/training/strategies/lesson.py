"""Lesson: which SubTransformer learns from which sentences of a batch."""

from dataclasses import dataclass
from typing import Any

from hat.architecture.stacks import Architecture


@dataclass(frozen=True)
class Lesson:
    """`architecture` learns from every `stride`-th sentence of the batch, beginning with number `start`."""

    architecture: Architecture
    start: int = 0
    stride: int = 1

    def sentences(self, sample: dict[str, Any], padding: int) -> dict[str, Any]:
        """Its part of a fairseq sample; of a batch with fewer sentences than lessons some go to several of them."""
        if self.stride == 1:
            return sample
        rows = slice(self.start % len(sample["target"]), None, self.stride)
        target, inputs = sample["target"][rows], sample["net_input"]
        return {
            **sample,
            "id": sample["id"][rows],
            "nsentences": len(target),
            "ntokens": int(target.ne(padding).sum()),
            "net_input": {name: tensor[rows] for name, tensor in inputs.items()},
            "target": target,
        }
