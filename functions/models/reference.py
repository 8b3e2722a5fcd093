"""How each model is fed and read, in numpy and OpenCV: what the functions do in Rust is held beside this.

Pictures are RGB, [height, width, 3], bytes. Boxes are left, top, right, bottom, in pixels of the picture.
"""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime

TARGET = Path(__file__).parents[2] / "target"


def session(name, threads=1):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    path = TARGET / "models" / f"{name}.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def picture(name):
    image = cv2.imread(str(TARGET / "samples" / name), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(f"no picture {name}: `cargo xtask models` fetches it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def frames(name):
    video = cv2.VideoCapture(str(TARGET / "samples" / name))
    while True:
        there, frame = video.read()
        if not there:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def resized(image, width, height):
    how = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=how).astype(np.float32)


def planes(image):
    """[height, width, 3] to [1, 3, height, width]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def nms(found, most):
    """The best of what overlaps. `found`: (score, box, ...) each."""
    kept = []
    for one in sorted(found, key=lambda one: -one[0]):
        if all(iou(one[1], other[1]) <= most for other in kept):
            kept.append(one)
    return kept


def centerface(model, image, threshold=0.5):
    """Faces: (score, box) each."""
    height, width = image.shape[:2]
    to_width, to_height = -(-width // 32) * 32, -(-height // 32) * 32
    # RGB from 0 to 255, as it is.
    heat, scale, offset = model.run(None, {"input": planes(resized(image, to_width, to_height))})
    found = []
    for row, column in zip(*np.where(heat[0, 0] > threshold), strict=True):
        h, w = np.exp(scale[0, :, row, column]) * 4
        y, x = (row + offset[0, 0, row, column] + 0.5) * 4, (column + offset[0, 1, row, column] + 0.5) * 4
        box = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        box = box.clip(0, [to_width, to_height] * 2) * ([width / to_width, height / to_height] * 2)
        found.append((float(heat[0, 0, row, column]), box.tolist()))
    return nms(found, 0.3)


def blazeface(model, image, threshold=0.5):
    """Faces: (score, box) each. The picture is fitted into a square with black beside it."""
    height, width = image.shape[:2]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + height, left : left + width] = image
    scores, boxes = model.run(None, {"input": resized(square, 128, 128)[None] / 127.5 - 1})
    anchors = np.array(
        [((x + 0.5) / n, (y + 0.5) / n) for n, each in [(16, 2), (8, 6)] for y in range(n) for x in range(n) for _ in range(each)]
    )
    probabilities = 1 / (1 + np.exp(-scores[0, :, 0].clip(-80, 80)))
    found = []
    for i in np.where(probabilities > threshold)[0]:
        center, size = anchors[i] + boxes[0, i, :2] / 128, boxes[0, i, 2:4] / 128
        corners = np.concatenate([center - size / 2, center + size / 2]) * side - [left, top] * 2
        found.append((float(probabilities[i]), corners.tolist()))
    return nms(found, 0.3)


def centernet(model, image, threshold=0.3):
    """Objects: (score, box, class) each."""
    height, width = image.shape[:2]
    (detections,) = model.run(None, {"images": resized(image, 512, 512)[None] / 255})
    scale = np.array([width, height] * 2) / 512
    found = [
        (float(d[4]), (d[:4].clip(0, 512) * scale).tolist(), int(d[5])) for d in detections[0] if d[4] > threshold
    ]
    return nms(found, 0.5)


def cut(image, box, margin=0.0):
    """A face with a margin, in parts of its sides."""
    x, y = (box[2] - box[0]) * margin, (box[3] - box[1]) * margin
    left, top = max(int(round(box[0] - x)), 0), max(int(round(box[1] - y)), 0)
    return image[top : int(round(box[3] + y)), left : int(round(box[2] + x))]


def mask(model, face):
    """The probability that a face, cut out, wears a mask."""
    (probabilities,) = model.run(None, {"input": planes(resized(face, 128, 128) / 127.5 - 1)})
    return float(probabilities[0, 0])


def fire(model, image):
    """The probability that there is fire."""
    (probabilities,) = model.run(None, {"input": planes(resized(image, 224, 224) / 255)})
    return float(probabilities[0, 0])


def efficientnet(model, image):
    """The probabilities of ImageNet's classes, of the square in the middle."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = resized(image[top : top + side, left : left + side], 224, 224)
    (probabilities,) = model.run(None, {"input": planes((square - MEAN) / DEVIATION)})
    return probabilities[0]


# ImageNet's, of RGB from 0 to 255.
MEAN = np.float32([123.675, 116.28, 103.53])
DEVIATION = np.float32([58.395, 57.12, 57.375])
