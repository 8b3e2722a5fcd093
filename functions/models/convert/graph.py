"""Writes an ONNX graph node by node. The same calls make the same bytes, so that a digest can be pinned."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# What ONNX Runtime and the built-in runtime both read.
OPSET = 17
IR_VERSION = 8


class Graph:
    def __init__(self, name, **metadata):
        self.name, self.metadata = name, metadata
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []

    def input(self, name, dtype, shape):
        """Names an input; a word in its shape is a dimension that the caller chooses."""
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, value, name, shape, dtype=TensorProto.FLOAT):
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def ints(self, *numbers):
        return self.constant(np.array(numbers, np.int64))

    def add(self, op, *inputs, outputs=1, **attributes):
        """Adds a node and tells the name of its output, or names where it has several."""
        n = len(self.nodes)
        names = [f"v{n}" if outputs == 1 else f"v{n}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"n{n}", **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x, weight, bias=None, **attributes):
        """A convolution; `weight` is [outputs, inputs / group, height, width]."""
        inputs = [x, self.constant(weight)] + ([] if bias is None else [self.constant(bias)])
        return self.add("Conv", *inputs, kernel_shape=list(weight.shape[2:]), **attributes)

    def conv_norm(self, x, weights, conv, norm, epsilon=1e-5, **attributes):
        """A convolution and the batch normalisation behind it, as one convolution."""
        gamma, beta, mean, variance = (
            weights[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + epsilon)
        weight = weights[f"{conv}.weight"] * scale[:, None, None, None]
        return self.conv(x, weight.astype(np.float32), (beta - mean * scale).astype(np.float32), **attributes)

    def relu6(self, x):
        return self.add("Clip", x, self.constant(np.float32(0)), self.constant(np.float32(6)))

    def linear(self, x, weights, layer):
        return self.add(
            "Gemm", x, self.constant(weights[f"{layer}.weight"]), self.constant(weights[f"{layer}.bias"]), transB=1
        )

    def save(self, path):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="wicketgate",
        )
        helper.set_model_props(model, self.metadata)
        save(model, path)


def save(model, path):
    onnx.checker.check_model(model, full_check=True)
    with open(path, "wb") as file:
        file.write(model.SerializeToString(deterministic=True))
