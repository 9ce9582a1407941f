"""Whole searches as one ONNX graph each: a Loop whose body is a decoder step and the choice of what goes on.

The graphs choose which hypotheses go on, and put out all that they chose from; `hat.deploy.loop_search` makes the
translations of it. </s> never goes on, so a sentence that is finished leaves rubbish behind until the loop ends.

Inputs of both: the encoder's outputs; first_step and most_steps, scalars; wanted, a scalar: the loop ends when no more
sentences than that are unfinished; missing (batch,), how many hypotheses each sentence still needs; the caches
self_key.N and self_value.N (previous rows, heads, steps, head_dim); tokens (batch, beam), the last token of each
hypothesis; rows (rows,), the row of the caches that each continues.
Outputs of both: final_* of what changes; per step what `hat.deploy.loop_search` reads.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto, TensorProto

from hat.deploy.building.blocks import Blocks
from hat.deploy.building.decoder_blocks import (
    cache_shapes,
    declare_memory,
    decoder_layers,
    embed_target,
    log_probabilities,
    target_positions,
)
from hat.deploy.building.graph_builder import GraphBuilder
from hat.deploy.building.network import Network
from hat.deploy.building.products import PRODUCTS, SINGLE_ROW_PRODUCTS

NOWHERE = -np.inf  # score of what must not be chosen


def beam_graph(network: Network, shortlisted: bool = False) -> ModelProto:
    """Beam search. More inputs: scores (rows, 1) of the hypotheses; row_candidates (1,), at least 2 * beam + 2; and
    sentence_candidates (1,), 2 * beam.

    Outputs per step: candidate_scores, candidate_tokens and candidate_places (batch, 2 * beam), best first: place //
    row_candidates is the hypothesis that a candidate continues; end_scores (rows, 1), log-probabilities of </s>.
    """
    loop = _SearchLoop("beam", network, shortlisted)
    graph, body = loop.graph, loop.body
    width, best = (graph.input(name, "int64", [1]) for name in ("row_candidates", "sentence_candidates"))
    scores = loop.state("scores", "float32", ["rows", 1])
    origins = loop.state("rows", "int64", ["rows"])
    caches = {name: body.node("Gather", [cache, origins], axis=0) for name, cache in loop.caches().items()}
    found = loop.step(caches)
    values, tokens = loop.best_tokens(found, width)
    tokens = body.reshape(tokens, loop.batch_and_rest)
    totals = body.reshape(body.node("Add", [values, scores]), loop.batch_and_rest)
    totals, places = body.node("TopK", [totals, best], 2, axis=-1)
    chosen = body.node("GatherElements", [tokens, places], axis=1)
    loop.trace("candidate_scores", totals, "float32", ["batch", "candidates"])
    loop.trace("candidate_places", places, "int64", ["batch", "candidates"])
    loop.trace("candidate_tokens", chosen, "int64", ["batch", "candidates"])
    ends = body.node("Equal", [chosen, graph.constant(network.spec.end_of_sentence)])
    going = body.node("Where", [ends, graph.constant(NOWHERE, np.float32), totals])
    going, picked = body.node("TopK", [going, loop.beam], 2, axis=-1)
    loop.next("scores", body.reshape(going, [-1, 1]))
    loop.next("tokens", body.node("GatherElements", [chosen, picked], axis=1))
    parents = body.node("Div", [body.node("GatherElements", [places, picked], axis=1), width])
    loop.next("rows", body.reshape(body.node("Add", [parents, loop.first_rows()]), [-1]))
    first = graph.node(
        "Less", [graph.node("Range", [graph.constant(0), loop.scalar(best), graph.constant(1)]), loop.beam]
    )
    counted = body.node("MatMul", [_as_float(body, ends), _as_float(graph, first)])
    return loop.model(counted)


def greedy_graph(network: Network, shortlisted: bool = False, single_row: bool = False) -> ModelProto:
    """The best token at each step, for a beam of 1. One more input: scores (batch, 1) of the hypotheses. With
    `single_row`, the batch is always of one sentence.

    Outputs per step: candidate_scores and candidate_tokens (batch, 3), of which the best that isn't </s> goes on;
    end_scores (batch, 1), log-probabilities of </s>.
    """
    loop = _SearchLoop("greedy", network, shortlisted, single_row)
    graph, body = loop.graph, loop.body
    scores = loop.state("scores", "float32", ["rows", 1])
    found = loop.step(loop.caches(graph.input("rows", "int64", ["rows"])))
    values, tokens = loop.best_tokens(found, graph.constant([3]))
    totals = body.node("Add", [values, scores])
    loop.trace("candidate_scores", totals, "float32", ["batch", 3])
    loop.trace("candidate_tokens", tokens, "int64", ["batch", 3])
    ends = body.node("Equal", [tokens, graph.constant(network.spec.end_of_sentence)])
    going = body.node("Where", [ends, graph.constant(NOWHERE, np.float32), totals])
    picked = body.node("ArgMax", [going], axis=1, keepdims=1)
    loop.next("tokens", body.node("GatherElements", [tokens, picked], axis=1))
    loop.next("scores", body.node("GatherElements", [going, picked], axis=1))
    return loop.model(body.node("MatMul", [_as_float(body, ends), graph.constant([1, 0, 0], np.float32)]))


def _as_float(graph: GraphBuilder, x: str) -> str:
    return graph.node("Cast", [x], to=TensorProto.FLOAT)


class _SearchLoop:
    """A graph and the body of its Loop, with the states that go from step to step and what each step puts out."""

    def __init__(self, name: str, network: Network, shortlisted: bool, single_row: bool = False) -> None:
        self.graph = GraphBuilder(name)
        self.body = GraphBuilder("body", self.graph)
        self._network, self._spec = network, network.spec
        self._shortlisted, self._single_row = shortlisted, single_row
        self._initial: list[str] = []
        self._states: dict[str, tuple[str, Sequence[int | str]]] = {}
        self._traces: list[tuple[str, str, str, Sequence[int | str]]] = []
        self._next: dict[str, str] = {}
        self.graph.input("first_step", "int64", [])
        self.graph.input("most_steps", "int64", [])
        self.graph.input("wanted", "float32", [])
        self._iteration = self.body.input("iteration", "int64", [])
        self.body.input("going_on", "bool", [])
        declare_memory(self.graph, network)
        self._tokens = self.state("tokens", "int64", ["batch", "beam"])
        self._missing = self.state("missing", "float32", ["batch"])
        shape = self.graph.node("Shape", ["tokens"])
        self._batch_and_beam = shape
        self._batch = self.graph.node("Shape", ["tokens"], start=0, end=1)
        self.beam = self.graph.node("Shape", ["tokens"], start=1, end=2)
        self.batch_and_rest = self.graph.node("Concat", [self._batch, self.graph.constant([-1])], axis=0)

    def state(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """Declare an input of the graph that every step replaces; returns its name in the body."""
        self._initial.append(self.graph.input(name, dtype, shape))
        self._states[name] = dtype, shape
        return self.body.input(f"step.{name}", dtype, shape)

    def next(self, name: str, tensor: str) -> None:
        """What the state `name` is in the next step."""
        self._next[name] = tensor

    def caches(self, rows: str | None = None) -> dict[str, str]:
        """{name: cache in the body}; with `rows`, they are put into that order once, before the loop."""
        caches = {}
        for name, shape in cache_shapes(self._network).items():
            caches[name] = self.state(name, "float32", shape)
            if rows:
                self._initial[-1] = self.graph.node("Gather", [name, rows], axis=0)
        return caches

    def trace(self, name: str, tensor: str, dtype: str, shape: Sequence[int | str]) -> None:
        """Put out `tensor` of the body for every step, stacked, as `name`."""
        self._traces.append((name, tensor, dtype, shape))

    def scalar(self, vector: str) -> str:
        """The only element of a tensor of the graph, as a scalar."""
        return self.graph.node("Squeeze", [vector])

    def first_rows(self) -> str:
        """The first row of each sentence, (batch, 1), computed once."""
        graph = self.graph
        count = graph.node("Range", [graph.constant(0), self.scalar(self._batch), graph.constant(1)])
        return graph.node("Unsqueeze", [graph.node("Mul", [count, self.beam]), graph.constant([1])])

    def step(self, caches: Mapping[str, str]) -> str:
        """Log-probabilities (rows, vocabulary) of the next token; the grown caches become the next states."""
        body = self.body
        blocks = Blocks(body, self._network, SINGLE_ROW_PRODUCTS if self._single_row else PRODUCTS)
        if self._shortlisted:
            blocks.products.use_shortlist(self.graph.input("shortlist", "int64", ["shortlist"]))
        x = embed_target(blocks, self._tokens, self._positions(blocks), self._iteration)
        x, grown = decoder_layers(blocks, x, self._batch_and_beam, caches)
        for name, cache in grown.items():
            self.next(name, cache)
        scores = log_probabilities(blocks, x)
        end = self._spec.end_of_sentence  # a shortlist begins with all tokens up to </s>
        self.trace(
            "end_scores", body.node("Gather", [scores, self.graph.constant([end])], axis=1), "float32", ["rows", 1]
        )
        return scores

    def _positions(self, blocks: Blocks) -> str:
        """Those of the steps of this run, (most_steps, embed_dim), cut out before the loop."""
        graph = self.graph
        end = graph.node("Add", ["first_step", "most_steps"])
        bounds = [graph.node("Unsqueeze", [bound, graph.constant([0])]) for bound in ("first_step", end)]
        return graph.node("Slice", [target_positions(blocks), *bounds, graph.constant([0])])

    def best_tokens(self, scores: str, width: str) -> tuple[str, str]:
        """The `width` best tokens of each row and their scores (rows, width); that of padding is NOWHERE."""
        body, graph = self.body, self.graph
        values, tokens = body.node("TopK", [scores, width], 2, axis=-1)
        padding = body.node("Equal", [tokens, graph.constant(self._spec.padding)])
        if self._shortlisted:
            tokens = body.node("Gather", ["shortlist", tokens], axis=0)
        values = body.node("Where", [padding, graph.constant(NOWHERE, np.float32), values])
        return values, tokens

    def model(self, counted: str) -> ModelProto:
        """The finished graph; `counted` (batch,) float32: how many hypotheses each sentence has ended in this step."""
        body, graph = self.body, self.graph
        missing = body.node("Sub", [self._missing, counted])
        self.next("missing", missing)
        bounds = [graph.constant(value, np.float32) for value in (0, 1)]
        unfinished = body.node("ReduceSum", [body.node("Clip", [missing, *bounds])], keepdims=0)
        body.output(body.node("Greater", [unfinished, "wanted"]), "bool", [])
        names = []
        for name, (dtype, shape) in self._states.items():
            body.output(self._next[name], dtype, shape)
            graph.output(f"final_{name}", dtype, shape)
            names.append(f"final_{name}")
        for name, tensor, dtype, shape in self._traces:
            body.output(tensor, dtype, shape)
            graph.output(name, dtype, ["steps", *shape])
            names.append(name)
        inputs = ["most_steps", graph.constant(True, np.bool_), *self._initial]
        graph.node("Loop", inputs, names, body=body.body())
        return graph.model({"target_vocabulary": str(self._spec.target_vocabulary)})
