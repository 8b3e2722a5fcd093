"""Reads the weights that PyTorch saved (`.pth`, `.pt`) as numpy arrays, without PyTorch.

Such a file is a pickle, and unpickling runs what the file asks for. Here it may ask for tensors, numbers and
dictionaries only: anything else is refused by name. Where whole modules were saved, they come as records of what they
have, and no code of theirs is looked for.
"""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np

DTYPES = {
    "HalfStorage": np.float16,
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "LongStorage": np.int64,
}

# What files of the old format (before PyTorch 1.6) begin with.
MAGIC = 0x1950A86A20F9469CFC6C


class Storage:
    """The numbers that tensors are views of; those of old files come after all tensors were told."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.numbers = None


class Tensor:
    """A view of a storage, to be taken when its numbers are there."""

    def __init__(self, storage, offset, shape, strides, *_):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self):
        numbers = self.storage.numbers
        size = self.storage.dtype.itemsize
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if min(self.shape, default=1) < 1 or min(self.strides, default=0) < 0 or not 0 <= self.offset <= last < len(numbers):
            raise ValueError(f"a tensor of shape {self.shape} reaches outside its {len(numbers)} numbers")
        view = np.lib.stride_tricks.as_strided(
            numbers[self.offset :], self.shape, [step * size for step in self.strides], writeable=False
        )
        return np.ascontiguousarray(view)


class Record:
    """Stands in for a module, or anything else of a class that we do not have: it has attributes, and does nothing."""

    def __init__(self, *_args, **_named):
        pass

    def __setstate__(self, state):
        if isinstance(state, dict):
            self.__dict__.update(state)

    def __getitem__(self, name):
        """A module inside, by its path."""
        module = self
        for part in name.split("."):
            module = module._modules[part]
        return module

    def tensors(self, prefix=""):
        """All tensors inside, by their paths."""
        found = {f"{prefix}{name}": tensor for name, tensor in {**self._parameters, **self._buffers}.items()}
        for name, module in self._modules.items():
            found |= module.tensors(f"{prefix}{name}.") if module is not None else {}
        return {name: tensor for name, tensor in found.items() if tensor is not None}


class Unpickler(pickle.Unpickler):
    ALLOWED = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): Tensor,
        **{("torch", name): dtype for name, dtype in DTYPES.items()},
    }

    def __init__(self, file, load):
        super().__init__(file)
        self.load_storage, self.storages = load, {}

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"weights may not refer to {module}.{name}")
        return self.ALLOWED[module, name]

    def persistent_load(self, about):
        kind, dtype, key = about[:3]
        if kind != "storage":
            raise pickle.UnpicklingError(f"weights may not refer to a {kind}")
        if key not in self.storages:
            self.storages[key] = self.load_storage(Storage(dtype), key)
        return self.storages[key]


class RecordUnpickler(Unpickler):
    """For files with modules in them: classes become records."""

    ALLOWED = {
        **Unpickler.ALLOWED,
        ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
        ("torch", "Size"): tuple,
        ("builtins", "set"): set,
    }

    def find_class(self, module, name):
        return self.ALLOWED.get((module, name)) or type(name, (Record,), {})


def from_zip(file, unpickler=Unpickler):
    archive = zipfile.ZipFile(file)
    pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
    folder = pickled.removesuffix("data.pkl")

    def load(storage, key):
        storage.numbers = np.frombuffer(archive.read(f"{folder}data/{key}"), storage.dtype)
        return storage

    return unpickler(io.BytesIO(archive.read(pickled)), load).load()


def from_old(file):
    def pickled(load=None):
        unpickler = Unpickler(file, load)
        return unpickler.load(), unpickler.storages

    if pickled()[0] != MAGIC:
        raise ValueError("these are no weights of PyTorch")
    _protocol, _machine = pickled(), pickled()
    tensors, storages = pickled(lambda storage, key: storage)
    for key in pickled()[0]:
        (n,) = struct.unpack("<q", file.read(8))
        storage = storages[key]
        storage.numbers = np.frombuffer(file.read(n * storage.dtype.itemsize), storage.dtype)
    return tensors


def read(path):
    """The tensors of a file by their names. Floats of 16 bits come as 32."""
    with open(path, "rb") as file:
        tensors = from_zip(file) if zipfile.is_zipfile(file) else (file.seek(0), from_old(file))[1]
    return arrays(tensors)


def read_modules(path):
    """What a file with modules has, as it is there."""
    with open(path, "rb") as file:
        return from_zip(file, RecordUnpickler)


def arrays(tensors):
    """Tensors as arrays. Floats of 16 bits come as 32."""
    arrays = {name: tensor.array() for name, tensor in tensors.items()}
    return {name: a.astype(np.float32) if a.dtype == np.float16 else a for name, a in arrays.items()}
