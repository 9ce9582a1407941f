"""The size of a bundle, from the architecture alone: what hat-export would write, without weights to write.

Graphs are built once for every pair of depths, with widths that stand in for the real ones; the weights' sizes follow
from `hat.architecture.complexity.parameter_shapes`. Where the two differ from what is written, the size errs upwards.
"""

import functools
import itertools
import math
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto
from onnx.external_data_helper import set_external_data

from hat import files
from hat.architecture.complexity import Shapes, count_parameters, parameter_shapes
from hat.architecture.space import DecoderSpace, EncoderSpace, SearchSpace
from hat.architecture.stacks import Architecture, DecoderArchitecture, EncoderArchitecture
from hat.data.translation.lexicon import learn_shortlist
from hat.data.translation.prepared import PreparedData
from hat.deploy.building.bundle_writer import (
    ALIGNMENT,
    SHORTLIST,
    SMALLEST_EXTERNAL,
    WEIGHTS,
    description_text,
    tokenizer_content,
    tokenizer_names,
)
from hat.deploy.building.graphs import build_graphs, graph_names
from hat.deploy.building.products import OUTPUT_PRODUCT
from hat.deploy.building.quantisation import DEFAULT_RANGE
from hat.experiment.run_directory import RunDirectory, stamp
from hat.export.translation.bundle_maker import describe_bundle, tokenizers, training_pairs
from hat.models.translation_spec import ModelSpec

# Of the stand-ins: multiples of 16, as most real widths are, but no usual ones, so that every table is sliced; large
# enough for all that belongs to a weight to lie outside of the graph, even the zero points, a byte a row.
ENCODER_WIDTH, DECODER_WIDTH, FFN_WIDTH = 304, 272, 256
FLOAT_BYTES = 4
RAW_HEADER = 3  # bytes before the content of a constant that lies inside of a graph
# As long as those that bundle.json will hold.
SUB_TRAINING, DIGEST, FILE_SIZE = "n" * 40, "0" * 64, 10**9


class BundleSize:
    """Architecture -> bytes of the bundle that hat-export would make of it in a run, without `--standalone`.

    Raises ArtifactError where the data aren't prepared. The first one in a run learns the shortlist, as every export
    does, to know its size: a minute or two for a large corpus.
    """

    def __init__(self, run: RunDirectory, precision: str) -> None:
        prepared = PreparedData(run.data)
        spec = run.spec()
        paths = tokenizers(prepared)
        names = tokenizer_names(paths)
        sizes = {name: len(tokenizer_content(paths[side], name)) for side, name in names.items()}
        self._others_bytes = sum(sizes.values()) + _shortlist_bytes(run, prepared)
        graphs = {name: f"{name}.onnx" for name in graph_names(precision)}
        self._names = {"graphs": graphs, "tokenizers": names, "shortlist": SHORTLIST}
        entry = {"size": FILE_SIZE, "sha256": DIGEST}
        self._listed = dict.fromkeys([WEIGHTS, SHORTLIST, *graphs.values(), *sizes], entry)
        self._describe = lambda architecture: {
            "precision": precision,
            **describe_bundle(run, SUB_TRAINING, architecture, spec, prepared, {"weights_sha256": DIGEST}),
        }
        self._model_size = ModelSize(run.config.search_space, spec, precision)

    def __call__(self, architecture: Architecture) -> int:
        text = description_text(self._describe(architecture), self._names, self._listed)
        return self._model_size(architecture) + len(text.encode()) + self._others_bytes


def _shortlist_bytes(run: RunDirectory, prepared: PreparedData) -> int:
    """The size of the shortlist that hat-export learns, kept in the run directory."""
    path, inputs = run.path / "search" / "shortlist.json", files.fingerprint([stamp(run.data), run.config.seed])
    kept = files.read_json(path, "remove it and run again") if path.exists() else {}
    if kept.get("inputs") != inputs:
        with tempfile.TemporaryDirectory() as folder:
            learnt = Path(folder) / SHORTLIST
            learn_shortlist(prepared, training_pairs(run, prepared)).save(learnt)
            kept = {"inputs": inputs, "bytes": learnt.stat().st_size}
        files.write_json(path, kept)
    return kept["bytes"]


@dataclass(frozen=True)
class _Stored:
    """A constant that belongs to a weight: bytes of one number, how many graphs hold it, its size in the stand-in."""

    item_bytes: int
    graphs: int
    stand_in_bytes: int


class ModelSize:
    """Architecture -> bytes of a bundle's graphs and weights together, of a space's architectures in one precision."""

    def __init__(self, space: SearchSpace, spec: ModelSpec, precision: str) -> None:
        self._space, self._spec, self._precision = space, spec, precision
        self._most_bytes = FLOAT_BYTES * count_parameters(space.largest(), spec)[0]
        self._outside = functools.lru_cache(maxsize=None)(self._build)

    def __call__(self, architecture: Architecture) -> int:
        graph_bytes, constants = self._outside(architecture.encoder.layers, architecture.decoder.layers)
        shapes = parameter_shapes(architecture, self._spec)
        reference_bytes = len(self._reference().SerializeToString())
        places = {}
        for name, stored in constants.items():
            size = _size(name, stored, shapes)
            if size >= SMALLEST_EXTERNAL:
                zeros = name.endswith(".zero")  # equal ones share their place
                places["zeros" if zeros else name, size] = math.ceil(size / ALIGNMENT) * ALIGNMENT
            else:
                graph_bytes += stored.graphs * (size + RAW_HEADER - reference_bytes)
        return graph_bytes + sum(places.values())

    def _build(self, encoder_layers: int, decoder_layers: int) -> tuple[int, dict[str, _Stored]]:
        """(bytes of all graphs without what belongs to weights, {name: _Stored}) of these depths."""
        architecture = self._stand_in(encoder_layers, decoder_layers)
        shapes = parameter_shapes(architecture, self._spec)
        weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        ranges = _ranges(shapes)
        held: Counter[str]
        size, held, constants = 0, Counter(), {}
        for graph_name in graph_names(self._precision):
            model = build_graphs(architecture, self._spec, weights, self._precision, ranges, [graph_name])[graph_name]
            for tensor in model.graph.initializer:
                if not tensor.name.startswith("constant."):
                    held[tensor.name] += 1
                    content = len(tensor.raw_data)
                    constants[tensor.name] = content // max(math.prod(tensor.dims), 1), content
                    tensor.CopyFrom(self._reference(tensor))
            size += model.ByteSize()
        return size, {name: _Stored(item, held[name], content) for name, (item, content) in constants.items()}

    def _reference(self, tensor: TensorProto | None = None) -> TensorProto:
        """A constant as a graph holds it whose content lies in the file of weights, behind everything else there."""
        reference = TensorProto()
        if tensor is not None:
            reference.CopyFrom(tensor)
        reference.raw_data = b""
        set_external_data(reference, WEIGHTS, self._most_bytes, self._most_bytes)
        reference.ClearField("raw_data")
        return reference

    def _stand_in(self, encoder_layers: int, decoder_layers: int) -> Architecture:
        """An architecture of these depths with as many different layers as the space allows."""
        space, depth = self._space, encoder_layers
        spans = [span for span in space.decoder.cross_attention_span if span <= encoder_layers]
        kinds: Any = itertools.product(spans[::-1], space.decoder.cross_attention_heads)
        kinds = list(itertools.islice(itertools.cycle(kinds), decoder_layers))
        encoder = EncoderArchitecture(
            ENCODER_WIDTH, _widths(space.encoder, depth), _cycled(space.encoder.self_attention_heads, depth)
        )
        decoder = DecoderArchitecture(
            DECODER_WIDTH,
            _widths(space.decoder, decoder_layers),
            _cycled(space.decoder.self_attention_heads, decoder_layers),
            cross_attention_heads=tuple(heads for _, heads in kinds),
            cross_attention_span=tuple(span for span, _ in kinds),
        )
        return Architecture(space.qkv_dim, encoder, decoder, space.head_dim)


def _cycled(choices: Iterable[int], count: int) -> tuple[int, ...]:
    return tuple(itertools.islice(itertools.cycle(choices), count))


def _widths(stack: EncoderSpace | DecoderSpace, layers: int) -> tuple[int, ...]:
    """Feed-forward widths, as many different ones as the space has choices."""
    return _cycled([FFN_WIDTH + 16 * index for index in range(len(stack.ffn_dim))], layers)


def _ranges(shapes: Shapes) -> dict[str, tuple[float, float]]:
    """Ranges of the inputs of all products, all different; behind a ReLU they begin at zero, as calibrated ones do."""
    low, high = DEFAULT_RANGE
    names = [name.removesuffix(".weight") for name in shapes if name.endswith(".weight")]
    return {
        name: (0.0 if name.endswith(".fc2") else low - index / 7, high + index / 3)
        for index, name in enumerate([*names, OUTPUT_PRODUCT])
    }


def _size(name: str, stored: _Stored, shapes: Shapes) -> int:
    """Bytes of a constant in an architecture with these `shapes` of its weights."""
    owner, _, kind = name.rpartition(".")
    if name in shapes:
        count = math.prod(shapes[name])
    elif owner in shapes:
        count = shapes[owner][0] if kind in ("scale", "zero") else math.prod(shapes[owner])
    else:  # of the vocabulary or the positions: the same in all architectures
        return stored.stand_in_bytes
    return count * stored.item_bytes
