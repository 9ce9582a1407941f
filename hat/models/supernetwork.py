"""What the SuperTransformer of every task does: hold all its SubTransformers, compute one, give one away."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hat.architecture.complexity import Shapes, parameter_shapes
from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture

if TYPE_CHECKING:
    from torch import Tensor


class SuperNetwork:
    """The weights of `space.largest()`, shared by every SubTransformer of `space`; starts as the largest.

    Stands before the task's network in a class's bases; `standalone` names that network. It is built from an
    architecture and a spec, and its `_activate(architecture)` computes with the first rows and columns.
    """

    standalone: Any = None

    def __init__(self: Any, space: SearchSpace, spec: Any) -> None:
        super().__init__(space.largest(), spec)  # type: ignore[call-arg]
        self.space = space
        self.active = self.architecture

    @classmethod
    def inheriting(cls, space: SearchSpace, network: Any) -> Any:
        """The SuperTransformer of `space` that begins with the first rows and columns of `network`'s weights.

        Raises UsageError naming a choice of `space` that is above the network's own.
        """
        space.check_within(network.architecture)
        model: Any = cls(space, network.spec)
        model.load_state_dict(sliced(network.state_dict(), parameter_shapes(model.architecture, network.spec)))
        return model.to(next(network.parameters())).train(network.training)

    def activate(self: Any, architecture: Architecture) -> None:
        """Compute this SubTransformer from now on; raises UsageError if it isn't of this space."""
        self.space.encode(architecture)
        self.active = architecture
        self._activate(architecture)

    def extract(self: Any, architecture: Architecture) -> Any:
        """A standalone network holding its own copy of this SubTransformer's weights only."""
        self.space.encode(architecture)
        network = self.standalone(architecture, self.spec)
        network.load_state_dict(sliced(self.state_dict(), parameter_shapes(architecture, self.spec)))
        return network.to(next(self.parameters())).train(self.training)


def sliced(weights: "Mapping[str, Tensor]", shapes: Shapes) -> "dict[str, Tensor]":
    """{name: copy of the first rows and columns}"""
    return {name: weights[name][tuple(slice(size) for size in shape)].clone() for name, shape in shapes.items()}
