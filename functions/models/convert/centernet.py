"""Object detector: CenterNet on MobileNetV3, COCO's 80 classes, of npm's @vladmandic/human (TensorFlow.js).

    python3 centernet.py PACKAGE OUT        PACKAGE: the unpacked tarball

The network is written as it is there; what picks the best hundred detections is written anew, for any batch.
"""

import sys
from pathlib import Path

import numpy as np
from graph import Graph
from onnx import TensorProto
from tfjs import Convolutional, Source

CELLS, CLASSES, DETECTIONS, STRIDE = 128, 80, 100, 4


def detections(g, heat, sides):
    """Heat [n, classes, y, x] and sides [n, 4, y, x] to [n, 100, (x1, y1, x2, y2, score, class)], the best first."""
    # A peak is what its neighbours do not exceed.
    hottest = g.add("MaxPool", heat, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    peaks = g.add("Mul", heat, g.add("Cast", g.add("Equal", heat, hottest), to=TensorProto.FLOAT))
    flat = g.add("Reshape", peaks, g.ints(0, -1))
    scores, at = g.add("TopK", flat, g.ints(DETECTIONS), axis=1, sorted=1, outputs=2)
    cells = g.ints(CELLS * CELLS)
    class_ = g.add("Div", at, cells)
    cell = g.add("Sub", at, g.add("Mul", class_, cells))
    row = g.add("Div", cell, g.ints(CELLS))
    column = g.add("Sub", cell, g.add("Mul", row, g.ints(CELLS)))

    def as_column(x):
        return g.add("Unsqueeze", g.add("Cast", x, to=TensorProto.FLOAT), g.ints(2))

    sides = g.add("Transpose", g.add("Reshape", sides, g.ints(0, 4, -1)), perm=[0, 2, 1])
    index = g.add("Expand", g.add("Unsqueeze", cell, g.ints(2)), g.ints(1, 1, 4))
    signed = g.add("Mul", g.add("GatherElements", sides, index, axis=1), g.constant(np.float32([-1, -1, 1, 1])))
    center = g.add("Concat", *[as_column(column), as_column(row)] * 2, axis=2)
    boxes = g.add("Add", g.add("Mul", center, g.constant(np.float32(STRIDE))), signed)
    return g.add("Concat", boxes, as_column(scores), as_column(class_), axis=2)


def main(package, out):
    source = Source(Path(package, "package/models/centernet.json"))
    g = Graph("centernet", source="npm @vladmandic/human 3.3.6", license="MIT")
    x = g.input("images", TensorProto.FLOAT, ["n", 512, 512, 3])
    images = g.add("Transpose", x, perm=[0, 3, 1, 2])
    network = Convolutional(source, g, {"tower_0/images": images})
    heat, sides = network.value("tower_0/keypoints"), network.value("tower_0/wh")
    g.output(detections(g, heat, sides), "detections", ["n", DETECTIONS, 6])
    g.save(out)


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    main(*sys.argv[1:])
