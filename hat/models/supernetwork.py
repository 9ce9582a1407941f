"""What the SuperTransformer of every task does: hold all its SubTransformers, compute one, give one away."""

from hat.architecture.complexity import parameter_shapes


class SuperNetwork:
    """The weights of `space.largest()`, shared by every SubTransformer of `space`; starts as the largest.

    Stands before the task's network in a class's bases; `standalone` names that network. It is built from an
    architecture and a spec, and its `_activate(architecture)` computes with the first rows and columns.
    """

    standalone = None

    def __init__(self, space, spec):
        super().__init__(space.largest(), spec)
        self.space = space
        self.active = self.architecture

    def activate(self, architecture):
        """Compute this SubTransformer from now on; raises UsageError if it isn't of this space."""
        self.space.encode(architecture)
        self.active = architecture
        self._activate(architecture)

    def extract(self, architecture):
        """A standalone network holding its own copy of this SubTransformer's weights only."""
        self.space.encode(architecture)
        own = self.state_dict()
        network = self.standalone(architecture, self.spec)
        shapes = parameter_shapes(architecture, self.spec)
        slices = {name: own[name][tuple(slice(size) for size in shape)].clone() for name, shape in shapes.items()}
        network.load_state_dict(slices)
        return network.to(self.encoder.embed_tokens.weight).train(self.training)
