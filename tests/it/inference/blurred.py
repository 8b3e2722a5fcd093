"""Says how much detail is left in the faces of a blurred frame, of what the frame had there before: one number.

Arguments: the frame as it was, the blurred frame, and the JSON with its faces.
"""

import json
import sys

import cv2
import numpy as np

before, after, faces = sys.argv[1:]
before, after = (cv2.imread(name, cv2.IMREAD_GRAYSCALE) for name in (before, after))
left = []
for face in json.load(open(faces))["faces"]:
    x0, y0, x1, y1 = (int(max(0, face["rect"][edge])) for edge in ("left", "top", "right", "bottom"))
    # The middle of it: its edges blend into what is around.
    dx, dy = (x1 - x0) // 4, (y1 - y0) // 4
    detail = [
        np.abs(cv2.Laplacian(image[y0 + dy : y1 - dy, x0 + dx : x1 - dx], cv2.CV_64F)).mean()
        for image in (before, after)
    ]
    left.append(detail[1] / detail[0])
print(max(left))
