"""How each model is fed and read, in numpy and OpenCV: what the functions do in Rust is held beside this.

Pictures are RGB, [height, width, 3], bytes. Boxes are left, top, right, bottom, in pixels of the picture.
"""

import wave
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

# ImageNet's, of RGB from 0 to 255.
MEAN = np.float32([123.675, 116.28, 103.53])
DEVIATION = np.float32([58.395, 57.12, 57.375])

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
    """The best of what overlaps and is of one class. `found`: (score, box, class where there are several) each."""
    kept = []
    for one in sorted(found, key=lambda one: -one[0]):
        if all(one[2:] != other[2:] or iou(one[1], other[1]) <= most for other in kept):
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


def fitted(image, side, background):
    """The picture in a square's upper left corner, as large as it fits, and how large that is."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    square = np.full((side, side, 3), background, np.float32)
    part = resized(image, round(width * scale), round(height * scale))
    square[: part.shape[0], : part.shape[1]] = part
    return square, scale


def centernet(model, image, threshold=0.4):
    """Objects: (score, box, class) each. RGB from 0 to 255, as it is; black beside the picture."""
    square, scale = fitted(image, 512, 0)
    (detections,) = model.run(None, {"images": square[None]})
    found = [(float(d[4]), (d[:4].clip(0, 512) / scale).tolist(), int(d[5])) for d in detections[0] if d[4] > threshold]
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


def fire_smoke(model, image, threshold=0.25):
    """Where there is smoke (class 0) or fire (1): (score, box, class) each. Fitted into a square, gray beside it."""
    square, scale = fitted(image, 640, 114)
    (output,) = model.run(None, {"images": planes(square / 255)})
    found = []
    for x, y, w, h, *scores in output[0].T:
        for class_, score in enumerate(scores):
            if score > threshold:
                box = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) / scale
                found.append((float(score), box.tolist(), class_))
    return nms(found, 0.5)


def efficientnet(model, image):
    """The probabilities of ImageNet's classes, of the square in the middle."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = resized(image[top : top + side, left : left + side], 224, 224)
    (probabilities,) = model.run(None, {"input": planes((square - MEAN) / DEVIATION)})
    return probabilities[0]




def sound(name):
    """Samples of a file of 16 kHz, mono, 16 bits."""
    with wave.open(str(TARGET / "samples" / name)) as file:
        assert file.getparams()[:3] == (1, 2, RATE), name
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


RATE, WINDOW, CONTEXT = 16_000, 512, 64


def windows(samples):
    """Windows of 512 samples, each with the 64 before it: [n, 576]. What is missing is silence."""
    n = -(-len(samples) // WINDOW)
    padded = np.zeros(CONTEXT + n * WINDOW, np.float32)
    padded[CONTEXT : CONTEXT + len(samples)] = samples
    return np.stack([padded[i * WINDOW : (i + 1) * WINDOW + CONTEXT] for i in range(n)])


def voice(model, samples):
    """The probability of speech in each window, all in one call (`silero-vad-sequence`)."""
    zeros = np.zeros((1, 1, 128), np.float32)
    return model.run(["speech_probs"], {"input": windows(samples), "h": zeros, "c": zeros})[0]


def voice_by_window(model, samples):
    """The same, window by window (`silero-vad`)."""
    state, rate, found = np.zeros((2, 1, 128), np.float32), np.array(RATE, np.int64), []
    for window in windows(samples):
        probability, state = model.run(None, {"input": window[None], "state": state, "sr": rate})
        found.append(probability[0, 0])
    return np.array(found)


def segments(probabilities, threshold=0.5, pause=0.25, least=0.1):
    """When somebody speaks: (start, end) in seconds. Shorter pauses are bridged, shorter segments dropped."""
    found, step = [], WINDOW / RATE
    for i in np.where(probabilities > threshold)[0]:
        if found and i * step - found[-1][1] < pause:
            found[-1][1] = (i + 1) * step
        else:
            found.append([i * step, (i + 1) * step])
    return [(round(float(a), 3), round(float(b), 3)) for a, b in found if b - a >= least]


BANDS, FFT, HOP = 80, 400, 160


def mel_filters():
    """Slaney's triangles from 0 to 8 kHz, each of area one: [80, 201]."""

    def to_mel(hertz):
        return np.where(hertz < 1000, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, 1) / 1000) * 27 / np.log(6.4))

    def to_hertz(mel):
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

    edges = to_hertz(np.linspace(0, to_mel(np.float64(RATE / 2)), BANDS + 2))
    bins = np.linspace(0, RATE / 2, FFT // 2 + 1)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]


def log_mel(samples, frames):
    """Whisper's picture of a sound: [1, 80, frames], a frame each 10 ms; what is missing is silence."""
    padded = np.zeros(frames * HOP, np.float32)
    padded[: len(samples)] = samples[: len(padded)]
    padded = np.pad(padded, FFT // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][:frames]
    power = np.abs(np.fft.rfft(pieces * hann, axis=1)) ** 2
    mel = np.log10(np.maximum(mel_filters() @ power.T, 1e-10))
    return ((np.maximum(mel, mel.max() - 8) + 4) / 4).astype(np.float32)[None]


START, NO_TIMESTAMPS, END = 50257, 50362, 50256


def transcript(encoder, decoder, vocabulary, samples, frames=3000):
    """What is said: the likeliest token after the other, until the end is the likeliest."""
    (audio,) = encoder.run(None, {"mel": log_mel(samples, frames)})
    tokens = [START, NO_TIMESTAMPS]
    while len(tokens) < 224:
        (logits,) = decoder.run(None, {"tokens": np.array([tokens], np.int64), "audio": audio})
        # A blank or the end may not be first; of what is special only the end may come.
        logits[0, END + 1 :] = -np.inf
        if len(tokens) == 2:
            logits[0, [220, END]] = -np.inf
        token = int(logits[0].argmax())
        if token == END:
            break
        tokens.append(token)
    return text(vocabulary, tokens[2:])


def text(vocabulary, tokens):
    """Tokens spell bytes in letters of their own (GPT-2's): those that can be printed are themselves."""
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printed]
    byte_of = {chr(byte): byte for byte in printed} | {chr(256 + i): byte for i, byte in enumerate(others)}
    return bytes(byte_of[letter] for token in tokens for letter in vocabulary[token]).decode(errors="replace").strip()
