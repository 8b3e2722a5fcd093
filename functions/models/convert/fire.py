"""Fire classifier: a ResNet-18 with two classes, of PyPI's fire-detector.

    python3 fire.py PACKAGE OUT        PACKAGE: the unpacked wheel
"""

import sys
from pathlib import Path

from graph import Graph
from onnx import TensorProto
from weights import read


def resnet18(g, x, w):
    """Torchvision's `resnet18()`, up to its last layer."""
    x = g.add("Relu", g.conv_norm(x, w, "conv1", "bn1", strides=[2, 2], pads=[3, 3, 3, 3]))
    x = g.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for layer in range(1, 5):
        for block in range(2):
            at, before = f"layer{layer}.{block}", x
            stride = [2, 2] if layer > 1 and block == 0 else [1, 1]
            x = g.add("Relu", g.conv_norm(x, w, f"{at}.conv1", f"{at}.bn1", strides=stride, pads=[1, 1, 1, 1]))
            x = g.conv_norm(x, w, f"{at}.conv2", f"{at}.bn2", pads=[1, 1, 1, 1])
            if f"{at}.downsample.0.weight" in w:
                before = g.conv_norm(before, w, f"{at}.downsample.0", f"{at}.downsample.1", strides=stride)
            x = g.add("Relu", g.add("Add", x, before))
    return g.add("Flatten", g.add("GlobalAveragePool", x), axis=1)


def main(package, out):
    w = read(Path(package, "fire_detector/models/fire_resnet18_fp16.pth"))
    g = Graph("fire", source="PyPI fire-detector 1.0.3", license="none stated")
    x = g.input("input", TensorProto.FLOAT, ["n", 3, 224, 224])
    x = g.linear(resnet18(g, x, w), w, "fc")
    g.output(g.add("Softmax", x, axis=1), "probabilities", ["n", 2])
    g.save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
