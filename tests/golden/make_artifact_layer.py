#!/usr/bin/env python3
"""Writes artifact_layer.safetensors: one packed layer, spelled from docs/formats/artifact.md and
docs/formats/quantized_matrix.md alone. tests/artifact/layer_tensors_test.cc compares the library's
bytes with it and reads it back. Standard library only."""

import json
import pathlib
import struct

GROUP, OUTLIERS = 8, 4
HIDDEN, ATTENTION, KV, INNER = 20, 24, 8, 28
LINEARS = [  # name, N, K, bias
    ("self_attn.q_proj", ATTENTION, HIDDEN, True),
    ("self_attn.k_proj", KV, HIDDEN, True),
    ("self_attn.v_proj", KV, HIDDEN, True),
    ("self_attn.o_proj", HIDDEN, ATTENTION, False),
    ("mlp.gate_proj", INNER, HIDDEN, False),
    ("mlp.up_proj", INNER, HIDDEN, False),
    ("mlp.down_proj", HIDDEN, INNER, False),
]
EDGES = [("qkv", HIDDEN), ("o", ATTENTION), ("gate_up", HIDDEN), ("down", INNER)]

tensors = []  # name, dtype, shape, bytes


def add(name, dtype, shape, data):
    tensors.append(("model.layers.0." + name, dtype, shape, data))


def code4(linear, row, column):
    return (linear * 5 + row * 3 + column * 7) % 16 - 8


def code8(linear, row, column):
    return (linear * 31 + row * 17 + column * 13) % 256 - 128


for index, (name, n, k, _) in enumerate(LINEARS):
    k8 = OUTLIERS + (k - OUTLIERS) % GROUP
    k4 = k - k8
    codes4 = bytearray()
    for row in range(n):
        for column in range(0, k4, 2):
            low = code4(index, row, column) & 15
            high = code4(index, row, column + 1) & 15
            codes4.append(high << 4 | low)
    add(name + ".codes4", "U8", [n, k4 // 2], bytes(codes4))
    scales4 = [2.0 ** -((group + row + index) % 9) for group in range(k4 // GROUP)
               for row in range(n)]
    add(name + ".scales4", "F16", [k4 // GROUP, n], struct.pack(f"<{len(scales4)}e", *scales4))
    codes8 = [code8(index, row, column) for row in range(n) for column in range(k8)]
    add(name + ".codes8", "I8", [n, k8], struct.pack(f"{len(codes8)}b", *codes8))
    scales8 = [(row + 1) / 64 for row in range(n)]
    add(name + ".scales8", "F16", [n], struct.pack(f"<{n}e", *scales8))
for name, n, _, bias in LINEARS:
    if bias:
        add(name + ".bias", "F32", [n], struct.pack(f"<{n}f", *[row / 4 - 0.5 for row in range(n)]))
for edge, (name, k) in enumerate(EDGES):
    source = [(j + edge + 1) % k for j in range(k)]
    add("permutation." + name, "I32", [k], struct.pack(f"<{k}i", *source))
add("input_layernorm.weight", "F32", [HIDDEN],
    struct.pack(f"<{HIDDEN}f", *[1 + i / 8 for i in range(HIDDEN)]))
add("post_attention_layernorm.weight", "F32", [HIDDEN],
    struct.pack(f"<{HIDDEN}f", *[2 - i / 8 for i in range(HIDDEN)]))

entries = ['"__metadata__":{"format":"pt"}']
offset = 0
for name, dtype, shape, data in tensors:
    entry = {"data_offsets": [offset, offset + len(data)], "dtype": dtype, "shape": shape}
    entries.append(json.dumps(name) + ":" + json.dumps(entry, separators=(",", ":")))
    offset += len(data)
header = ("{" + ",".join(entries) + "}").encode()
header += b" " * (-(8 + len(header)) % 64)
path = pathlib.Path(__file__).parent / "artifact_layer.safetensors"
path.write_bytes(struct.pack("<Q", len(header)) + header + b"".join(t[3] for t in tensors))
