"""Draws an architecture layer by layer as inline SVG: encoder on the left, decoder on the right, data upwards."""

from html import escape

COLUMN = 104  # width of the widest possible feed-forward layer, pixels
ENCODER_CENTRE, DECODER_CENTRE = 138, 296
WIDTH, BOX, ROW = 450, 22, 32
HEAD, FOOT = 30, 52
LABEL_GAP = 8

DRAWING_NOTE = (
    "A box is a layer, first layer at the bottom; its width is the feed-forward dimension, h its attention heads "
    "(decoder: self + encoder-decoder). Lines show which encoder layers a decoder layer attends to. Bars at the foot "
    "are the embedding widths. All drawings have one scale."
)


def draw_architecture(architecture, space):
    """An <svg> element. Widths are relative to the largest choices of `space`, so drawings can be compared.

    A box's width is the layer's FFN dimension; a line from encoder to decoder is a layer attended to.
    """
    rows = max(space.encoder.layers[-1], space.decoder.layers[-1])
    height = HEAD + rows * ROW + FOOT
    encoder = _Column("Encoder", architecture.encoder, space.encoder, ENCODER_CENTRE, height)
    decoder = _Column("Decoder", architecture.decoder, space.decoder, DECODER_CENTRE, height)
    parts = [_attention(architecture, encoder, decoder), encoder.draw("end"), decoder.draw("start")]
    return (
        f'<svg class="architecture" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(architecture.summary())}">{"".join(parts)}</svg>'
    )


class _Column:
    """One stack: its boxes from the bottom up, each with its label on the outer side."""

    def __init__(self, title, stack, choices, centre, height):
        self._title, self._stack, self._choices = title, stack, choices
        self._centre, self._height = centre, height

    def _width(self, layer):
        return max(4, COLUMN * self._stack.ffn_dim[layer] / self._choices.ffn_dim[-1])

    def _top(self, layer):
        return self._height - FOOT - (layer + 1) * ROW + (ROW - BOX) / 2

    def middle(self, layer):
        return self._top(layer) + BOX / 2

    def left(self, layer):
        return self._centre - self._width(layer) / 2

    def right(self, layer):
        return self._centre + self._width(layer) / 2

    def draw(self, anchor):
        """Header, boxes, labels (`anchor` "end": left of the column, "start": right of it) and the embedding."""
        stack = self._stack
        outer = self._centre + (COLUMN / 2 + LABEL_GAP) * (1 if anchor == "start" else -1)
        layers = "1 layer" if stack.layers == 1 else f"{stack.layers} layers"
        parts = [_text(self._centre, 16, f"{self._title}: {layers}", "heading", "middle")]
        for layer in range(stack.layers):
            parts.append(_box(self.left(layer), self._top(layer), self._width(layer), BOX, "ffn"))
            parts.append(_text(outer, self.middle(layer) + 4, self._label(layer), "tick", anchor))
        width = COLUMN * stack.embed_dim / self._choices.embed_dim[-1]
        top = self._height - FOOT + 8
        parts.append(_box(self._centre - width / 2, top, width, 8, "embedding"))
        parts.append(_text(self._centre, top + 24, f"embedding {stack.embed_dim}", "tick", "middle"))
        return "".join(parts)

    def _label(self, layer):
        heads = str(self._stack.self_attention_heads[layer])
        if hasattr(self._stack, "cross_attention_heads"):
            heads += f"+{self._stack.cross_attention_heads[layer]}"
        return f"{self._stack.ffn_dim[layer]} · {heads} h"


def _attention(architecture, encoder, decoder):
    parts = []
    last = architecture.encoder.layers
    for layer, span in enumerate(architecture.decoder.cross_attention_span):
        for attended in range(last - span, last):
            x1, y1 = encoder.right(attended), encoder.middle(attended)
            x2, y2 = decoder.left(layer), decoder.middle(layer)
            bend = (x1 + x2) / 2
            path = f"M{x1:.1f},{y1:.1f} C{bend:.1f},{y1:.1f} {bend:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
            parts.append(
                f'<path class="attends" d="{path}"/><circle class="arrow" cx="{x2:.1f}" cy="{y2:.1f}" r="2.5"/>'
            )
    return "".join(parts)


def _box(x, y, width, height, css):
    return f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="3"/>'


def _text(x, y, text, css, anchor):
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
