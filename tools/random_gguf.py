#!/usr/bin/env python3
"""A GGUF file of a Llama geometry with random weights, to time programs that read such files.

    tools/random_gguf.py tinyllama-1.1b OUT.gguf --type Q4_K_M [--layers 2]

Types: Q4_0, and Q4_K_M, in which the layers that suffer most from four bits have Q6_K for attn_v and
ffn_down. In both lm_head is Q6_K. Codes are uniform; a block's scale gives weights the deviation
1/sqrt(inputs). Tokens are the 256 bytes and unused ones. Needs gguf 0.17.1.
"""

import argparse
import math
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from random_checkpoint import GEOMETRIES

TYPES = ("Q4_0", "Q4_K_M")
# Where the fp16 factors of a block lie, in bytes, and their ratio: minima of Q4_K make codes signed.
FACTORS = {Type.Q4_0: ((0, 1.0),), Type.Q4_K: ((0, 1.0), (2, 7.5)), Type.Q6_K: ((208, 1.0),)}
UNDEFINED, CONTROL, BYTE, UNUSED = 2, 3, 6, 5  # kinds of tokens


def sensitive(layer, layers):
    """First and last eighth of the layers, and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def tensors(geometry, layers, file_type):
    """(name, shape, type) in the order of the file."""
    hidden, inner, _, heads, kv_heads, vocabulary = geometry
    kv = hidden // heads * kv_heads
    usual = Type.Q4_0 if file_type == "Q4_0" else Type.Q4_K
    yield "token_embd.weight", (vocabulary, hidden), usual
    for layer in range(layers):
        careful = Type.Q6_K if file_type == "Q4_K_M" and sensitive(layer, layers) else usual
        for name, shape, kind in (
            ("attn_norm", (hidden,), Type.F32),
            ("attn_q", (hidden, hidden), usual),
            ("attn_k", (kv, hidden), usual),
            ("attn_v", (kv, hidden), careful),
            ("attn_output", (hidden, hidden), usual),
            ("ffn_norm", (hidden,), Type.F32),
            ("ffn_gate", (inner, hidden), usual),
            ("ffn_up", (inner, hidden), usual),
            ("ffn_down", (hidden, inner), careful),
        ):
            yield f"blk.{layer}.{name}.weight", shape, kind
    yield "output_norm.weight", (hidden,), Type.F32
    yield "output.weight", (vocabulary, hidden), Type.Q6_K


def set_factors(blocks, kind, scale):
    for at, ratio in FACTORS[kind]:
        factor = np.array([scale * ratio], dtype="<f2").view(np.uint8)
        blocks[:, at : at + 2] = factor


def random_rows(rng, kind, rows, columns):
    """Bytes of a matrix, one row after the other."""
    elements, size = gguf.constants.GGML_QUANT_SIZES[kind]
    if columns % elements:
        raise SystemExit(f"random_gguf: {columns} columns: expected a multiple of {elements}, "
                         f"the block of {kind.name}")  # fmt: skip
    blocks = rng.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)
    set_factors(blocks, kind, 1.0)
    deviation = float(gguf.quants.dequantize(blocks[:4096], kind).std())
    set_factors(blocks, kind, 1.0 / (deviation * math.sqrt(columns)))
    return blocks.reshape(rows, -1)


def add_keys(writer, geometry, layers):
    hidden, inner, _, heads, kv_heads, vocabulary = geometry
    writer.add_block_count(layers)
    writer.add_context_length(4096)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    kinds = [UNDEFINED, CONTROL, CONTROL] + [BYTE] * 256
    unused = vocabulary - len(tokens)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens + [f"<unused{i}>" for i in range(unused)])
    writer.add_token_scores([0.0] * vocabulary)
    writer.add_token_types(kinds + [UNUSED] * unused)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def write(path, geometry, file_type, layers=0, seed=7):
    """One tensor in memory at a time."""
    layers = layers or geometry[2]
    writer = gguf.GGUFWriter(path, "llama")
    add_keys(writer, geometry, layers)
    described = list(tensors(geometry, layers, file_type))
    for name, shape, kind in described:
        elements, size = gguf.constants.GGML_QUANT_SIZES[kind]
        writer.add_tensor_info(name, shape, np.dtype(np.float32),
                               math.prod(shape) // elements * size, raw_dtype=kind)  # fmt: skip
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    rng = np.random.default_rng(seed)
    for _, shape, kind in described:
        ones = kind == Type.F32  # a norm
        writer.write_tensor_data(np.ones(shape, "<f4") if ones else random_rows(rng, kind, *shape))
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("geometry", choices=GEOMETRIES)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--type", choices=TYPES, default="Q4_0")
    parser.add_argument("--layers", type=int, default=0, help="so many; 0: all")
    flags = parser.parse_args()
    write(flags.out, GEOMETRIES[flags.geometry], flags.type, flags.layers)


if __name__ == "__main__":
    main()
