"""Weights that need not be committed: weights.json says how each tensor's elements follow from a
hash, and this module and tests/golden_model.h make the same bits of it.

weights.json: {"seed": integer, "dtype": "BF16", "F16" or "F32", "tensors": {name: {"shape": [...],
"mean": m, "step": s}}}; with "large": l and "every": e, each e-th element, beginning with number
e - 1, has the mean l. Element i, counted over the tensor in row order, is

    key   = FNV-1a, 64 bits, of "SEED:NAME"
    x     = mix(key + (i + 1) * 0x9E3779B97F4A7C15)         mix: the finalizer of splitmix64
    n     = the sum of the eight bytes of x, less 1020
    value = mean + n * step, in double, rounded to fp32, then to the dtype, ties to even

n is nearly normal with a deviation of 209.02. A step has at most 24 significant bits, so that the
product is exact and no compiler can round it otherwise.

checksum: the sum of bits(j) * (2 j + 1) modulo 2^64, j counting all stored elements, tensors in
the order of their names, bits(j) the element's storage as an unsigned number; 16 hex digits.
"""

import json
import math
import pathlib
import shutil

import numpy as np

from safetensors_numpy import STORAGE, from_float32, write_safetensors

DEVIATION = math.sqrt(8 * (256**2 - 1) / 12)  # of the sum of eight bytes


def step_of(deviation):
    """The step for elements of this deviation, with 12 significant bits."""
    mantissa, exponent = math.frexp(deviation / DEVIATION)
    return math.ldexp(round(mantissa * 4096), exponent - 12)


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def _mix(x):
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def tensor(seed, name, rule, dtype):
    """The stored array of one tensor."""
    count = math.prod(rule["shape"])
    index = np.arange(count, dtype=np.uint64)
    key = np.uint64(fnv1a(f"{seed}:{name}"))
    x = _mix(key + (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
    n = x.astype("<u8").view(np.uint8).reshape(count, 8).sum(axis=1, dtype=np.int64) - 1020
    mean = np.full(count, rule["mean"], np.float64)
    if "every" in rule:
        mean[rule["every"] - 1 :: rule["every"]] = rule["large"]
    values = (mean + n * float(rule["step"])).astype(np.float32)
    return from_float32(values, dtype).reshape(rule["shape"])


def tensors(weights):
    """{name: (dtype, array)} of a parsed weights.json."""
    dtype = weights["dtype"]
    return {
        name: (dtype, tensor(weights["seed"], name, rule, dtype))
        for name, rule in weights["tensors"].items()
    }


def checksum(stored):
    """Of {name: (dtype, array)}."""
    total, first = 0, 0
    for name in sorted(stored):
        dtype, array = stored[name]
        bits = array.reshape(-1).view(f"<u{STORAGE[dtype].itemsize}").astype(np.uint64)
        odd = 2 * np.arange(first, first + bits.size, dtype=np.uint64) + np.uint64(1)
        total += int((bits * odd).sum(dtype=np.uint64))
        first += bits.size
    return f"{total % 2**64:016x}"


def write_checkpoint(fixture, target):
    """The checkpoint that `fixture` describes, into the folder `target`; returns its checksum."""
    fixture, target = pathlib.Path(fixture), pathlib.Path(target)
    stored = tensors(json.loads((fixture / "weights.json").read_text(encoding="utf-8")))
    write_safetensors(target / "model.safetensors", stored)
    shutil.copy(fixture / "config.json", target / "config.json")
    return checksum(stored)
