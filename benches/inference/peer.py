"""What inference is held beside: Python with ONNX Runtime and OpenCV, in one process that answers tasks.

A task is a line of JSON on standard input, its answer a line on standard output; `op` says which function below does it.
"""

import json
import sys
import time

import cv2
import numpy as np
import onnxruntime
import workflow

SESSIONS = {}


def session(model, threads, provider):
    """A session for each, once: loading is no part of what is timed."""
    if (model, threads, provider) not in SESSIONS:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        made = onnxruntime.InferenceSession(model, options, providers=[provider])
        # It falls back to the CPU with no more than a warning.
        assert made.get_providers()[0] == provider, f"{provider} is not to be had: {made.get_providers()}"
        SESSIONS[model, threads, provider] = made
    return SESSIONS[model, threads, provider]


def numbers(shape, pattern=None, values=None, **_):
    """An input by its recipe, as the guest makes it."""
    if values is not None:
        return np.array(values, np.int64).reshape(shape)
    i = np.arange(np.prod(shape), dtype=np.int64)
    flat = (i * 7919 % 256).astype(np.float32) / np.float32(255)
    return (flat * np.float32(pattern["scale"]) + np.float32(pattern["offset"])).reshape(shape)


def about():
    build = [line for line in cv2.getBuildInformation().splitlines() if "CPU_BASELINE" in line or "Dispatched" in line]
    return {
        "python": sys.version.split()[0],
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "providers": onnxruntime.get_available_providers(),
        "opencv_built_for": " ".join(" ".join(build).split()),
    }


def infer(model, inputs, runs, threads, provider, for_ms=0):
    """Runs a model as often, or for as long; ns of each run."""
    ready, each = session(model, threads, provider), []
    fed = {one["name"]: numbers(**one) for one in inputs}
    until = time.perf_counter_ns() + for_ms * 1_000_000
    outputs = []
    while len(each) < runs and (for_ms == 0 or time.perf_counter_ns() < until):
        begin = time.perf_counter_ns()
        outputs = ready.run(None, fed)
        each.append(time.perf_counter_ns() - begin)
    return {"each": each, "sum": float(sum(output.sum(dtype=np.float64) for output in outputs))}


def frames(picture, runs, side):
    """A JPEG to a tensor for a detector: what each step took, ns."""
    bytes_ = np.fromfile(picture, np.uint8)
    took = {"decode": [], "resize": [], "normalise": []}
    for _ in range(runs):
        begin = time.perf_counter_ns()
        image = cv2.cvtColor(cv2.imdecode(bytes_, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        decoded = time.perf_counter_ns()
        height, width = image.shape[:2]
        scale = side / max(height, width)
        small_w, small_h = round(width * scale), round(height * scale)
        square = np.full((side, side, 3), 114, np.uint8)
        left, top = (side - small_w) // 2, (side - small_h) // 2
        small = cv2.resize(image, (small_w, small_h), interpolation=cv2.INTER_AREA)
        square[top : top + small_h, left : left + small_w] = small
        resized = time.perf_counter_ns()
        tensor = np.ascontiguousarray(square.transpose(2, 0, 1)[None], np.float32)
        tensor *= np.float32(1 / 255)
        end = time.perf_counter_ns()
        took["decode"].append(decoded - begin)
        took["resize"].append(resized - decoded)
        took["normalise"].append(end - resized)
    return took | {"sum": float(tensor.sum(dtype=np.float64))}


def picture(video, number, width, height, to):
    """A frame of a video as a JPEG of a size."""
    reader = cv2.VideoCapture(video)
    for _ in range(number + 1):
        there, frame = reader.read()
    assert there, f"{video} has no frame {number}"
    if frame.shape[:2] != (height, width):
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)
    assert cv2.imwrite(to, frame, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return {}


def mask(video, folder, every, faces, masks, threads, again):
    """The mask workflow; its CPU time does not count what loading the models takes."""
    provider = "CPUExecutionProvider"
    sessions = session(faces, threads, provider), session(masks, threads, provider)
    begin, cpu = time.perf_counter(), time.process_time()
    told = workflow.run(video, folder, every, *sessions, again)
    return told | {"wall_s": time.perf_counter() - begin, "cpu_s": time.process_time() - cpu}


TASKS = {"about": about, "infer": infer, "frames": frames, "picture": picture, "mask": mask}


def main():
    # OpenCV would take all cores; who calls says how many threads each side has.
    cv2.setNumThreads(1)
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(TASKS[task.pop("op")](**task)), flush=True)


if __name__ == "__main__":
    main()
