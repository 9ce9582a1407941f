"""Draws an architecture layer by layer as inline SVG: encoder on the left, decoder on the right, data upwards."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture, stacks_of
from hat.report.page import render

COLUMN = 104  # width of the widest possible feed-forward layer, pixels
PLACES = {"encoder": (138, -1), "decoder": (296, 1)}  # of a stack: its centre, and the side of its labels
ROW = 32  # height of a layer, with the gap to the next
HEAD, FOOT = 30, 52
LABEL_GAP = 8


def draw_architecture(architecture: Architecture, space: SearchSpace) -> Markup:
    """An <svg> element. Widths are relative to the largest choices of `space`, so drawings can be compared.

    A box's width is the layer's FFN dimension; a line from encoder to decoder is a layer attended to.
    """
    floor = HEAD + ROW * max(stack.layers[-1] for stack in stacks_of(space).values())
    columns = {
        name: _Column(name.capitalize(), *PLACES[name], stack, getattr(space, name), floor)
        for name, stack in stacks_of(architecture).items()
    }
    attended = []
    if columns.keys() == PLACES.keys():
        last = architecture.encoder.layers
        attended = [
            (columns["encoder"].boxes[source], columns["decoder"].boxes[layer])
            for layer, span in enumerate(architecture.decoder.cross_attention_span)
            for source in range(last - span, last)
        ]
    values = {"summary": architecture.summary(), "columns": list(columns.values()), "attended": attended}
    return Markup(render(__package__, "architecture.svg", height=floor + FOOT, floor=floor, **values))


@dataclass(frozen=True)
class _Box:
    """A layer: its left and right end, the middle of its height, and what is said of it."""

    left: float
    right: float
    middle: float
    label: str


class _Column:
    """One stack, standing on `floor`; its labels are on the `side` -1, left, or 1, right."""

    def __init__(self, title: str, centre: float, side: int, stack: Any, choices: Any, floor: float) -> None:
        self.title, self.centre, self.stack = title, centre, stack
        self.label_x, self.label_anchor = centre + side * (COLUMN / 2 + LABEL_GAP), "start" if side > 0 else "end"
        widths = (stack.embed_dim, *getattr(stack, "bin_dims", ()))  # of the words' bins, if they are a choice
        self.embedding = f"embedding {' / '.join(map(str, widths))}"
        self.embedding_width = COLUMN * stack.embed_dim / choices.embed_dim[-1]
        self.boxes = []
        for layer, dim in enumerate(stack.ffn_dim):
            half = max(4, COLUMN * dim / choices.ffn_dim[-1]) / 2
            middle = floor - (layer + 0.5) * ROW
            self.boxes.append(_Box(centre - half, centre + half, middle, f"{dim} · {_heads(stack, layer)} h"))


def _heads(stack: Any, layer: int) -> str:
    heads = str(stack.self_attention_heads[layer])
    crossing = getattr(stack, "cross_attention_heads", ())
    return f"{heads}+{crossing[layer]}" if crossing else heads
