"""Draws an architecture layer by layer as inline SVG: encoder on the left, decoder on the right, data upwards."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture, stacks_of
from hat.report.page import render

COLUMN = 104  # width of the widest possible feed-forward layer, pixels
WIDTH = 450
Place = tuple[float, int]  # of a stack: its centre, and the side of its labels, -1 left or 1 right
PLACES: dict[str, Place] = {"encoder": (138, -1), "decoder": (296, 1)}
ALONE: Place = (WIDTH / 2, 1)  # of a stack that has none beside it
ROW = 32  # height of a layer, with the gap to the next
BAR = 11  # the same of an embedding's bar
HEAD, FOOT = 30, 41  # without the bars
LABEL_GAP = 8


def draw_architecture(architecture: Architecture, space: SearchSpace) -> Markup:
    """An <svg> element. Widths are relative to the largest choices of `space`, so drawings can be compared.

    A box's width is the layer's FFN dimension; a line from encoder to decoder is a layer attended to. At the foot is a
    bar for the embedding, or for each bin of words where their widths are a choice, frequent words first.
    """
    floor = HEAD + ROW * max(stack.layers[-1] for stack in stacks_of(space).values())
    stacks = stacks_of(architecture)
    places = PLACES if len(stacks) > 1 else dict.fromkeys(stacks, ALONE)
    columns = {
        name: _Column(name.capitalize(), places[name], stack, getattr(space, name), floor)
        for name, stack in stacks.items()
    }
    attended = []
    if columns.keys() == PLACES.keys():
        last = architecture.encoder.layers
        attended = [
            (columns["encoder"].boxes[source], columns["decoder"].boxes[layer])
            for layer, span in enumerate(architecture.decoder.cross_attention_span)
            for source in range(last - span, last)
        ]
    foot = floor + BAR * max(len(column.bars) for column in columns.values())
    sizes = {"width": WIDTH, "height": foot + FOOT, "foot": foot, "bar_height": BAR - 3}
    values = {"summary": architecture.summary(), "columns": list(columns.values()), "attended": attended}
    return Markup(render(__package__, "architecture.svg", **sizes, **values))


@dataclass(frozen=True)
class _Box:
    """A layer, or an embedding: its left and right end, the middle of its height, and what is said of it."""

    left: float
    right: float
    middle: float
    label: str = ""


class _Column:
    """One stack, standing on `floor` at its `place`."""

    def __init__(self, title: str, place: Place, stack: Any, choices: Any, floor: float) -> None:
        centre, side = place
        self.title, self.centre, self.stack = title, centre, stack
        self.label_x, self.label_anchor = centre + side * (COLUMN / 2 + LABEL_GAP), "start" if side > 0 else "end"
        widths = (stack.embed_dim, *getattr(stack, "bin_dims", ()))  # of the words' bins, if they are a choice
        bins = " (bins of words)" if len(widths) > 1 else ""
        self.embedding = f"embedding {' / '.join(map(str, widths))}{bins}"
        self.bars = []
        for bin_, width in enumerate(widths, start=1):
            half = COLUMN * width / choices.embed_dim[-1] / 2
            self.bars.append(_Box(centre - half, centre + half, floor + bin_ * BAR))
        self.boxes = []
        for layer, dim in enumerate(stack.ffn_dim):
            half = max(4, COLUMN * dim / choices.ffn_dim[-1]) / 2
            middle = floor - (layer + 0.5) * ROW
            self.boxes.append(_Box(centre - half, centre + half, middle, f"{dim} · {_heads(stack, layer)} h"))


def _heads(stack: Any, layer: int) -> str:
    heads = str(stack.self_attention_heads[layer])
    crossing = getattr(stack, "cross_attention_heads", ())
    return f"{heads}+{crossing[layer]}" if crossing else heads
