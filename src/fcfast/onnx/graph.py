"""An ONNX graph that is made node by node: constants, nodes, outputs, and the model that they become."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from fcfast._version import __version__
from fcfast.units import bytes_text

Array = NDArray[Any]
Value: TypeAlias = "str | float | Array"  # the name of a tensor, or a constant

OPSET, IR_VERSION = 15, 8  # of 2021: onnxruntime reads them from version 1.10 on
MOST_BYTES = (1 << 31) - (1 << 20)  # of constants in one message of protobuf, which holds less than 2 GiB
ROWS = "N"  # the number of samples, which is free
INPUT = "X"

LEAKY_SLOPE = 0.01
ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid"}  # operators


class Graph:
    """A graph under construction. Names stand for tensors; numbers and arrays in their place become constants.

    Parameters
    ----------
    n_inputs : int
        Number of features, the columns of the input ``X``.
    input_dtype : dtype
        Type of the input.
    dtype : dtype
        Precision of the network, and of all constants that are floating point numbers.
    memory_limit : float
        Largest number of bytes of dense weights.
    has_file : bool
        Whether the model is written to files, which have no limit.

    Attributes
    ----------
    n_bytes : int
        Size of all constants.
    """

    def __init__(
        self, n_inputs: int, input_dtype: np.dtype[Any], dtype: np.dtype[Any], memory_limit: float, has_file: bool
    ) -> None:
        self.n_inputs, self.input_dtype, self.dtype = n_inputs, input_dtype, dtype
        self.memory_limit, self.has_file = memory_limit, has_file
        self.constants: dict[str, Array] = {}
        self._nodes: list[NodeProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._known: dict[Any, str] = {}  # names of constants by their value, or by the object
        self._kept: list[Array] = []  # objects of these, so that none takes the place of another

    # ------------------------------------------------------------------------------------------------------------------
    # building

    def reserve(self, n_bytes: int) -> None:
        """Refuse constants that are too large, before any of them is made.

        Raises
        ------
        MemoryError
            If they exceed the limit of memory.
        ValueError
            If no file is written, and a model in memory cannot hold them.
        """
        if n_bytes > self.memory_limit:
            raise MemoryError(
                f"the ONNX model holds dense weights of {bytes_text(n_bytes)}, over memory_limit="
                f"{bytes_text(self.memory_limit)}; raise the limit, or train with fewer hidden units or features"
            )
        if n_bytes > MOST_BYTES and not self.has_file:
            raise ValueError(
                f"the ONNX model holds {bytes_text(n_bytes)}, but an onnx.ModelProto less than 2 GiB; give a path, beside "
                "which the weights are written to a second file"
            )

    def constant(self, value: ArrayLike, dtype: Any = None) -> str:
        """Give the name of a constant; the same object, and the same number, is stored once.

        Raises
        ------
        ValueError
            If a number is too large for the precision of the graph.
        """
        array = np.asarray(value)
        dtype = self.dtype if dtype is None and array.dtype.kind in "fc" else dtype
        key: Any = (id(value), str(dtype)) if isinstance(value, np.ndarray) else (repr(value), str(dtype))
        if key in self._known:
            return self._known[key]
        if isinstance(value, np.ndarray):
            self._kept.append(value)
        with np.errstate(over="ignore"):  # reported below
            converted = array if dtype is None else array.astype(dtype, copy=False)
        if converted.dtype.kind == "f" and not np.isfinite(converted).all():
            raise ValueError(f"the network has numbers that are too large for {converted.dtype}; train with dtype='float64'")
        name = self._known[key] = f"constant_{len(self.constants)}"
        self.constants[name] = converted
        return name

    def node(self, operator: str, *inputs: Value, **attributes: Any) -> str:
        """Add a node with one output, and give its name."""
        names = [value if isinstance(value, str) else self.constant(np.float64(value)) if np.ndim(value) == 0 else
                 self.constant(value) for value in inputs]  # fmt: skip
        output = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, names, [output], name=output, **attributes))
        return output

    def cast(self, value: str, dtype: np.dtype[Any]) -> str:
        """Change the type of a tensor."""
        return self.node("Cast", value, to=helper.np_dtype_to_tensor_dtype(dtype))

    def dense(self, X: str, weights: Array, biases: Array | None = None) -> str:
        """Multiply samples (N, n_in) with weights (n_out, n_in), and add biases (n_out,)."""
        return self.node("Gemm", X, weights, *([] if biases is None else [biases]), transB=1)

    def activated(self, value: str, activation: str) -> str:
        """Apply the activation of that name."""
        if activation == "leaky_relu":  # onnxruntime has LeakyRelu in single precision alone
            return self.node("Max", value, self.node("Mul", value, LEAKY_SLOPE))
        return value if activation == "identity" else self.node(ACTIVATIONS[activation], value)

    def angle(self, cosine: str, sine: str) -> str:
        """Give the angle in [0, pi] with these cosines and sines."""
        single = np.dtype("float32")
        if self.dtype == single:
            return self.node("Acos", cosine)
        # onnxruntime has Acos in single precision alone; what that misses is as small as its own sine
        rough = self.cast(self.node("Acos", self.cast(cosine, single)), self.dtype)
        rough_cosine = self.node("Sin", self.node("Add", rough, np.pi / 2))
        missing = self.node("Sub", self.node("Mul", sine, rough_cosine), self.node("Mul", cosine, self.node("Sin", rough)))
        return self.node("Add", rough, missing)

    def sorted(self, value: str, n: int) -> str:
        """Sort the last axis, which has n numbers."""
        values, places = (f"sorted_{part}_{len(self._nodes)}" for part in ("values", "places"))
        attributes: dict[str, Any] = {"axis": -1, "largest": 0, "sorted": 1, "name": values}
        self._nodes.append(helper.make_node("TopK", [value, self.constant(np.array([n]))], [values, places], **attributes))
        return values

    def output(self, name: str, value: str, elem_type: int, width: int | None = None) -> None:
        """Make a tensor an output of that name, of shape (N,) or (N, width)."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        shape: Sequence[str | int] = [ROWS] if width is None else [ROWS, width]
        self._outputs.append(helper.make_tensor_value_info(name, elem_type, shape))

    # ------------------------------------------------------------------------------------------------------------------
    # the model

    @property
    def element_type(self) -> int:
        """The precision of the network as ONNX names it."""
        return helper.np_dtype_to_tensor_dtype(self.dtype)

    @property
    def n_bytes(self) -> int:
        """Size of all constants."""
        return sum(array.nbytes for array in self.constants.values())

    def model(self, metadata: dict[str, str], stored: dict[str, TensorProto] | None = None) -> ModelProto:
        """Give the model.

        Parameters
        ----------
        metadata : dict of str
            What the model says of itself.
        stored : dict of TensorProto, or None
            Constants that lie in another file, by name.
        """
        nodes, needed = self._needed()
        stored = stored or {}
        tensors = [
            stored[name] if name in stored else tensor(name, array) for name, array in self.constants.items() if name in needed
        ]
        taken = helper.make_tensor_value_info(INPUT, helper.np_dtype_to_tensor_dtype(self.input_dtype), [ROWS, self.n_inputs])
        graph = helper.make_graph(nodes, "fcfast", [taken], self._outputs, tensors)
        model = helper.make_model(
            graph, producer_name="fcfast", producer_version=__version__, ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )  # fmt: skip
        helper.set_model_props(model, metadata)
        return model

    def _needed(self) -> tuple[list[NodeProto], set[str]]:
        """Give the nodes that outputs depend on, and the names of everything that they take."""
        needed = {output.name for output in self._outputs}
        nodes = []
        for node in reversed(self._nodes):
            if node.output[0] in needed:
                nodes.append(node)
                needed.update(node.input)
        return nodes[::-1], needed


def tensor(name: str, array: Array) -> TensorProto:
    """Give an array of numbers, truth values or strings as a constant of ONNX."""
    if array.dtype.kind in "UO":
        return helper.make_tensor(name, TensorProto.STRING, array.shape, [text.encode() for text in array.ravel().tolist()])
    return numpy_helper.from_array(np.ascontiguousarray(array), name)
