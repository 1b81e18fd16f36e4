"""Reading, editing and writing safetensors files with nothing but numpy.

The format: 8 bytes of header length (little endian), a JSON header {name: {dtype, shape,
data_offsets}}, then the data. numpy knows no bfloat16, so a BF16 tensor is an array of uint16 here;
to_float32 and from_float32 convert. Arrays are memory maps: opened with "r+", an assignment to one
changes the file in place and leaves every other byte of it alone.
"""

import json
import math
import pathlib

import numpy as np

# Storage type in numpy of each dtype that weights come in.
STORAGE = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
# What else write_safetensors takes: the codes of quantized checkpoints.
INTEGERS = {"I32": np.dtype("<i4"), "I64": np.dtype("<i8")}

_LONGEST_HEADER = 100_000_000


class CheckpointError(Exception):
    """A file that cannot be used; the message is one sentence that names it."""


def read_json(path):
    """The parsed JSON object in `path`."""
    try:
        value = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(value).__name__}.")
    return value


class SafetensorsFile:
    """One file: `tensors` maps each name to its array, `dtypes` to "F32", "F16" or "BF16"."""

    def __init__(self, path, mode="r"):
        self.path = pathlib.Path(path)
        self.tensors = {}
        self.dtypes = {}
        size = self.path.stat().st_size
        with open(self.path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _LONGEST_HEADER):
                raise CheckpointError(
                    f"{path}: the header of {length} bytes does not fit the file of "
                    f"{size} bytes."
                )
            try:
                header = json.loads(file.read(length))
            except ValueError as error:
                raise CheckpointError(f"{path}: the header is not JSON: {error}.") from error
        header.pop("__metadata__", None)
        for name, entry in header.items():
            self._map(name, entry, 8 + length, size, mode)

    def _map(self, name, entry, data_start, size, mode):
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if dtype not in STORAGE:
            raise CheckpointError(
                f"{self.path}: tensor {name} has dtype {dtype}, expected one of "
                f"{', '.join(STORAGE)}."
            )
        expected = math.prod(shape) * STORAGE[dtype].itemsize
        if end - begin != expected or begin < 0 or data_start + end > size:
            raise CheckpointError(
                f"{self.path}: tensor {name} of shape {shape} needs {expected} bytes, "
                f"found the range {begin}..{end} in {size - data_start} bytes."
            )
        self.tensors[name] = np.memmap(
            self.path, STORAGE[dtype], mode, data_start + begin, tuple(shape)
        )
        self.dtypes[name] = dtype

    def flush(self):
        for tensor in self.tensors.values():
            tensor.flush()


def write_safetensors(path, tensors):
    """Writes {name: (dtype, array)}, in the order of the names, the header padded to 8 bytes."""
    storage = {**STORAGE, **INTEGERS}
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        dtype, array = tensors[name]
        size = array.size * storage[dtype].itemsize
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            dtype, array = tensors[name]
            file.write(np.ascontiguousarray(array, storage[dtype]).tobytes())


def to_float32(array, dtype):
    """The values of a stored array, exactly."""
    if dtype == "BF16":
        return (np.asarray(array).astype(np.uint32) << 16).view(np.float32)
    return np.asarray(array).astype(np.float32)


def from_float32(values, dtype):
    """The stored array nearest to the values (ties to even)."""
    if dtype != "BF16":
        with np.errstate(over="ignore"):
            return values.astype(STORAGE[dtype])
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def checkpoint_files(directory):
    """The safetensors files of a Hugging Face directory: one, or the shards of its index."""
    directory = pathlib.Path(directory)
    single = directory / "model.safetensors"
    if single.is_file():
        return [single]
    index = directory / "model.safetensors.index.json"
    if not index.is_file():
        raise CheckpointError(f"{directory}: holds neither {single.name} nor {index.name}.")
    names = sorted(set(read_json(index).get("weight_map", {}).values()))
    for name in names:
        if name != pathlib.PurePath(name).name or not (directory / name).is_file():
            raise CheckpointError(f"{index}: names the shard {name}, which is not in {directory}.")
    return [directory / name for name in names]
