"""Reads a graph of TensorFlow.js, and writes its convolutional part into an ONNX graph, channels first."""

import base64
import json

import numpy as np

DTYPES = {"float16": np.float16, "float32": np.float32, "int32": np.int32}


class Source:
    """The nodes and weights of a graph model (`NAME.json`, and the files of weights beside it)."""

    def __init__(self, path):
        about = json.loads(path.read_text())
        self.nodes = {node["name"]: node for node in about["modelTopology"]["node"]}
        self.weights = {}
        for part in about["weightsManifest"]:
            data, at = b"".join((path.parent / name).read_bytes() for name in part["paths"]), 0
            for weight in part["weights"]:
                stored = np.dtype(DTYPES[weight.get("quantization", weight)["dtype"]])
                n = int(np.prod(weight["shape"], dtype=np.int64))
                numbers = np.frombuffer(data, stored, n, at).astype(DTYPES[weight["dtype"]])
                self.weights[weight["name"]] = numbers.reshape(weight["shape"])
                at += n * stored.itemsize


class Convolutional:
    """Writes nodes as they are asked for, from a value back to the input."""

    # Position of a dimension of TensorFlow's (batch, height, width, channels) in ONNX's order.
    AXIS = {0: 0, 1: 2, 2: 3, 3: 1}

    def __init__(self, source, graph, inputs):
        self.source, self.graph = source, graph
        self.done = dict(inputs)

    def value(self, name):
        name = name.split(":")[0]
        if name not in self.done:
            node = self.source.nodes[name]
            write = getattr(self, node["op"].lstrip("_"), None)
            if write is None:
                raise ValueError(f"no way to write {node['op']} ({name})")
            self.done[name] = write(node, node.get("input", []))
        return self.done[name]

    def weight(self, name):
        return self.source.weights[name]

    def Const(self, node, _):
        weight = self.weight(node["name"])
        if weight.ndim > 1:
            raise ValueError(f"a constant with {weight.ndim} dimensions outside a convolution ({node['name']})")
        return self.graph.constant(weight)

    def Identity(self, _, inputs):
        return self.value(inputs[0])

    def same(self, node, inputs):
        return self.graph.add({"AddV2": "Add"}.get(node["op"], node["op"]), *map(self.value, inputs))

    Add = AddV2 = Mul = Sub = Relu = Sigmoid = same

    def Relu6(self, _, inputs):
        return self.graph.relu6(self.value(inputs[0]))

    def Mean(self, node, inputs):
        axes = sorted(self.AXIS[int(axis)] for axis in self.weight(inputs[1]))
        assert axes == [2, 3] and node["attr"]["keep_dims"]["b"], node["name"]
        return self.graph.add("GlobalAveragePool", self.value(inputs[0]))

    def ConcatV2(self, _, inputs):
        axis = self.AXIS[int(self.weight(inputs[-1]))]
        return self.graph.add("Concat", *map(self.value, inputs[:-1]), axis=axis)

    def ResizeBilinear(self, node, inputs):
        assert not node["attr"]["align_corners"]["b"] and not node["attr"]["half_pixel_centers"]["b"], node["name"]
        # Every one in this graph doubles both sides.
        scales = self.graph.constant(np.array([1, 1, 2, 2], np.float32))
        how = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
        return self.graph.add("Resize", self.value(inputs[0]), "", scales, **how)

    def conv(self, node, inputs, fused=(), bias=None):
        weight = self.weight(inputs[1])
        group = 1
        if "Depthwise" in node["op"]:
            group = weight.shape[2]
            weight = weight.reshape(*weight.shape[:2], 1, -1)
        strides = [int(n) for n in node["attr"]["strides"]["list"]["i"][1:3]]
        x = self.graph.conv(
            self.value(inputs[0]),
            weight.transpose(3, 2, 0, 1),
            None if bias is None else bias.reshape(-1),
            strides=strides,
            group=group,
            auto_pad={"SAME": "SAME_UPPER", "VALID": "VALID"}[text(node, "padding")[0]],
        )
        return self.graph.relu6(x) if "Relu6" in fused else self.graph.add("Relu", x) if "Relu" in fused else x

    def Conv2D(self, node, inputs):
        return self.conv(node, inputs)

    DepthwiseConv2dNative = Conv2D

    def FusedConv2D(self, node, inputs):
        fused = text(node, "fused_ops")
        assert fused[0] == "BiasAdd" and set(fused[1:]) <= {"Relu", "Relu6"}, fused
        return self.conv(node, inputs, fused, self.weight(inputs[2]))

    FusedDepthwiseConv2dNative = FusedConv2D


def text(node, attribute):
    """The words of an attribute; the format has them in base64."""
    value = node["attr"][attribute]
    words = value["list"]["s"] if "list" in value else [value["s"]]
    return [base64.b64decode(word).decode() for word in words]
