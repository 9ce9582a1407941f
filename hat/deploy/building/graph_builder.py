"""GraphBuilder: nodes and constants of one ONNX graph, each tensor known by its name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from hat.deploy.sessions import UNSATURATED

OURS = "hat"  # domain of functions that a graph file defines itself
CONTRIB = "com.microsoft"  # onnxruntime's own operators
OPSET = 18
IR_VERSION = 9  # readable by every onnxruntime from 1.16 on
_TYPES = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
}


class GraphBuilder:
    """Collects nodes in order of computation; `model()` closes the graph.

    A builder with a `parent` builds the body of a loop in it: it sees all tensors of the parent, keeps its constants
    there, and is closed with `body()`. `root` is the outermost graph, whose nodes run once however often a body does.
    """

    def __init__(self, name: str, parent: "GraphBuilder | None" = None) -> None:
        self._name, self._parent = name, parent
        self.root: GraphBuilder = parent.root if parent else self
        self._nodes: list[NodeProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._small_constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._functions: dict[str, FunctionProto] = {}
        self._count = 0

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """Declare a graph input; `shape` mixes sizes and names of variable sizes. Returns its name."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], shape))
        return name

    def output(self, name: str, dtype: str, shape: Sequence[int | str]) -> None:
        """Declare the tensor `name` as a graph output."""
        self._outputs.append(helper.make_tensor_value_info(name, _TYPES[dtype], shape))

    def weight(self, name: str, array: np.ndarray) -> str:
        """A named constant, stored once however often it is asked for. Returns its name."""
        if self._parent:
            return self.root.weight(name, array)
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """A small constant (shape, axis, scale); equal ones are stored once. Returns its name."""
        if self._parent:
            return self.root.constant(value, dtype)
        array = np.array(value, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._small_constants:
            self._small_constants[key] = self.weight(f"constant.{len(self._small_constants)}", array)
        return self._small_constants[key]

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: int | Sequence[str] = 1,
        domain: str = "",
        **attributes: Any,
    ) -> Any:
        """Append a node; `outputs` is a count or a list of names. Returns the name, or names if several."""
        if isinstance(outputs, int):
            outputs = [self._fresh(operator) for _ in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))
        return outputs[0] if len(outputs) == 1 else outputs

    def contrib(self, operator: str, inputs: Sequence[str], outputs: int | Sequence[str] = 1, **attributes: Any) -> Any:
        """Append a node of onnxruntime's own domain."""
        return self.node(operator, inputs, outputs, domain=CONTRIB, **attributes)

    def call(self, function: FunctionProto, inputs: Sequence[str]) -> str:
        """Append a call of a function of the domain OURS with one output, written once however often it is called."""
        self.root._functions[function.name] = function
        return self.node(function.name, inputs, domain=OURS)

    def reshape(self, x: str, shape: str | Sequence[int]) -> str:
        """`x` with a fixed shape (list, -1 and 0 as in ONNX) or a computed one (name)."""
        return self.node("Reshape", [x, shape if isinstance(shape, str) else self.constant(shape)])

    def shape_like(self, x: str, more: Sequence[int]) -> str:
        """The shape of `x` followed by `more` sizes, as a tensor."""
        return self.node("Concat", [self.node("Shape", [x]), self.constant(more)], axis=0)

    def _fresh(self, operator: str) -> str:
        self._count += 1
        prefix = f"{self._name}." if self._parent else ""  # a body's names must not be those of what is around it
        return f"{prefix}{operator}.{self._count}"

    def body(self) -> GraphProto:
        """The finished onnx.GraphProto, for the attribute `body` of the parent's Loop node."""
        return helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, initializer=list(self._constants.values())
        )

    def model(self, metadata: dict[str, str]) -> ModelProto:
        """The finished onnx.ModelProto; `metadata` are texts that the session shows to its user.

        All int8 weights of our graphs are such that no processor's products overflow, which the metadata say too.
        """
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        functions = list(self._functions.values())
        if functions:
            opsets.append(helper.make_opsetid(OURS, 1))
        model = helper.make_model(
            self.body(), opset_imports=opsets, ir_version=IR_VERSION, producer_name="hat", functions=functions
        )
        helper.set_model_props(model, {**metadata, UNSATURATED: "yes"})
        return model
