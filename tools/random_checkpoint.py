#!/usr/bin/env python3
"""A Llama checkpoint of a given geometry with random weights, to time what needs files.

    tools/random_checkpoint.py llama-7b OUT --tokenizer models/atom-demo [--layers 2]

Weights are normal, of deviation 1/sqrt(inputs), in bf16; a block of them repeats, so that writing
is as fast as the disk. The tokenizer is another model's: its ids must be below the vocabulary.
"""
import argparse
import array
import json
import math
import pathlib
import random
import shutil
import struct

# hidden, inner, layers, heads, KV heads, vocabulary
GEOMETRIES = {
    "llama-7b": (4096, 11008, 32, 32, 32, 32000),
    "llama-13b": (5120, 13824, 40, 40, 40, 32000),
    "tinyllama-1.1b": (2048, 5632, 22, 32, 4, 32000),
}
BLOCK = (1 << 18) - 5  # odd: rows of a matrix do not all repeat


def shapes(hidden, inner, layers, heads, kv_heads, vocabulary):
    """Names and shapes in the order of the file; a shape of one axis is a norm's."""
    kv = hidden // heads * kv_heads
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, n, k in (("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", kv, hidden),
                           ("self_attn.v_proj", kv, hidden), ("self_attn.o_proj", hidden, hidden),
                           ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden),
                           ("mlp.down_proj", hidden, inner)):
            yield f"{prefix}{name}.weight", (n, k)
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (vocabulary, hidden)


def to_bf16(values):
    """Little-endian bytes: the upper half of each fp32."""
    words = array.array("I", array.array("f", values).tobytes())
    return array.array("H", (word >> 16 for word in words)).tobytes()


def write(path, tensors, seed=7):
    """Safetensors: a header of names, then the values one after the other."""
    header, offset = {}, 0
    for name, shape in tensors:
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = random.Random(seed)
    normal = [generator.gauss(0.0, 1.0) for _ in range(BLOCK)]
    blocks = {}
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in tensors:
            count = math.prod(shape)
            if len(shape) == 1:
                file.write(to_bf16([1.0] * count))
                continue
            if shape[1] not in blocks:
                scale = 1 / math.sqrt(shape[1])
                blocks[shape[1]] = to_bf16(value * scale for value in normal)
            block = blocks[shape[1]]
            whole, rest = divmod(2 * count, len(block))
            for _ in range(whole):
                file.write(block)
            file.write(block[:rest])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("geometry", choices=GEOMETRIES)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--layers", type=int, default=0, help="so many; 0: all")
    arguments = parser.parse_args()
    hidden, inner, layers, heads, kv_heads, vocabulary = GEOMETRIES[arguments.geometry]
    layers = arguments.layers or layers
    arguments.out.mkdir(parents=True)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
              "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
              "num_attention_heads": heads, "num_key_value_heads": kv_heads,
              "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "tie_word_embeddings": False, "torch_dtype": "bfloat16", "vocab_size": vocabulary,
              "bos_token_id": 1, "eos_token_id": 2}
    (arguments.out / "config.json").write_text(json.dumps(config, indent=2))
    for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json"):
        if (arguments.tokenizer / name).exists():
            shutil.copyfile(arguments.tokenizer / name, arguments.out / name)
    write(arguments.out / "model.safetensors",
          list(shapes(hidden, inner, layers, heads, kv_heads, vocabulary)))


if __name__ == "__main__":
    main()
