#!/usr/bin/env python3
"""Golden checkpoints of GPTQ, AWQ and compressed-tensors, made with nothing but numpy:

  NAME/config.json, NAME/model.safetensors  a random llama of one layer in that format
  NAME/golden.json                          what its weights are in an unquantized folder: shape,
                                            dtype and FNV-1a of the fp32 bytes

Codes, zero points and scales are random; values are scale * (code - zero), rounded once to the type
of the scales, as the formats' packages compute them. Where the `compressed-tensors` package (0.20.0,
with torch) is installed, its decompressed weights are compared with these.

  tools/make_foreign_golden.py OUT_DIR [--seed N]
"""

import argparse
import json
import pathlib

import numpy as np
from safetensors_numpy import from_float32, to_float32, write_safetensors

HIDDEN, INNER, VOCABULARY, HEAD_DIM = 64, 96, 64, 32
LAYER = "model.layers.0."
# name: [outputs, inputs]
LINEARS = {
    LAYER + "self_attn.q_proj": (64, HIDDEN),
    LAYER + "self_attn.k_proj": (32, HIDDEN),
    LAYER + "self_attn.v_proj": (32, HIDDEN),
    LAYER + "self_attn.o_proj": (HIDDEN, 64),
    LAYER + "mlp.gate_proj": (INNER, HIDDEN),
    LAYER + "mlp.up_proj": (INNER, HIDDEN),
    LAYER + "mlp.down_proj": (HIDDEN, INNER),
}
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": HEAD_DIM,
    "num_hidden_layers": 1,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def pack(codes, bits, axis, order=None):
    """Codes into words along an axis, the first one lowest; `order`: which one is the i-th."""
    count = 32 // bits
    codes = np.moveaxis(np.asarray(codes, np.uint64), axis, -1)
    padding = -codes.shape[-1] % count
    codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, padding)])
    codes = codes.reshape(*codes.shape[:-1], -1, count)
    if order is not None:
        codes = codes[..., order]
    words = np.zeros(codes.shape[:-1], np.uint64)
    for i in range(count):
        words |= codes[..., i] << np.uint64(i * bits)
    return np.moveaxis(words.astype(np.uint32).view(np.int32), -1, axis)


class Weight:
    """Random codes and grids of one linear: codes [N][K], zeros and scales [N][groups]."""

    def __init__(self, rng, n, k, bits, group, dtype, symmetric, ordered):
        group = group or k
        groups = k // group
        self.codes = rng.integers(0, 1 << bits, (n, k))
        self.zeros = rng.integers(0, 1 << bits, (n, groups))
        if symmetric:
            self.zeros[:] = 1 << (bits - 1)
        spread = rng.uniform(0.3, 1.7, (n, groups)) * 0.4 / (1 << bits)
        self.scales = from_float32(spread.astype(np.float32), dtype)
        self.dtype = dtype
        self.groups_of = np.arange(k) // group
        if ordered:
            self.groups_of = rng.permutation(self.groups_of)

    def values(self):
        """[N][K] as they are stored unquantized."""
        steps = (self.codes - self.zeros[:, self.groups_of]).astype(np.float32)
        product = to_float32(self.scales, self.dtype)[:, self.groups_of] * steps
        return from_float32(product.astype(np.float32), self.dtype)


def gptq(name, weight, bits, minus_one):
    zeros = pack(weight.zeros.T, bits, 1)
    if minus_one:  # as its package does: from whole words, so that a zero point of 0 borrows
        one = np.uint32(0x11111111 if bits == 4 else 0x01010101)
        zeros = (zeros.view(np.uint32) - one).view(np.int32)
    n = weight.codes.shape[0]
    return {
        name + ".qweight": ("I32", pack(weight.codes.T, bits, 0)),
        name + ".qzeros": ("I32", zeros),
        name + ".scales": (weight.dtype, weight.scales.T),
        name + ".g_idx": ("I32", weight.groups_of),
        name + ".bias": ("F16", np.zeros(n, np.float16)),
    }


def awq(name, weight):
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    return {
        name + ".qweight": ("I32", pack(weight.codes.T, 4, 1, order)),
        name + ".qzeros": ("I32", pack(weight.zeros.T, 4, 1, order)),
        name + ".scales": (weight.dtype, weight.scales.T),
    }


def compressed(name, weight, bits, symmetric, ordered):
    tensors = {
        name + ".weight_packed": ("I32", pack(weight.codes, bits, 1)),
        name + ".weight_scale": (weight.dtype, weight.scales),
        name + ".weight_shape": ("I64", np.array(weight.codes.shape)),
    }
    if not symmetric:
        tensors[name + ".weight_zero_point"] = ("I32", pack(weight.zeros, bits, 0))
    if ordered:
        tensors[name + ".weight_g_idx"] = ("I32", weight.groups_of)
    return tensors


def gptq_config(bits, group, version, symmetric, ordered, lm_head=False):
    return {
        "quant_method": "gptq",
        "bits": bits,
        "group_size": group or -1,
        "desc_act": ordered,
        "sym": symmetric,
        "lm_head": lm_head,
        "checkpoint_format": version,
        "pack_dtype": "int32",
        "true_sequential": True,
        "damp_percent": 0.05,
        "meta": {"quantizer": ["numpy"]},
    }


def scheme(bits, group, symmetric, ordered=False):
    return {
        "targets": ["Linear"],
        "input_activations": None,
        "output_activations": None,
        "weights": {
            "num_bits": bits,
            "type": "int",
            "symmetric": symmetric,
            "strategy": "group" if group else "channel",
            "group_size": group or None,
            "actorder": "group" if ordered else None,
            "dynamic": False,
            "observer": "minmax",
        },
    }


def compressed_config(*schemes):
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {f"group_{i}": found for i, found in enumerate(schemes)},
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
        "sparsity_config": {},
        "transform_config": {},
    }


def check_with_package(name, tensors, found, weight):
    """Compares with what the compressed-tensors package makes of the same tensors."""
    try:
        import torch
        from compressed_tensors.compressors.pack_quantized import PackedQuantizationCompressor
        from compressed_tensors.quantization import QuantizationScheme
    except ImportError:
        return False
    state = {}
    for key, (dtype, array) in tensors.items():
        tensor = torch.from_numpy(np.ascontiguousarray(array).copy())
        state[key.rsplit(".", 1)[1]] = tensor.view(torch.bfloat16) if dtype == "BF16" else tensor
    values = PackedQuantizationCompressor.decompress(state, QuantizationScheme(**found))["weight"]
    wanted = to_float32(weight.values(), weight.dtype)
    if not np.array_equal(values.float().numpy(), wanted):
        raise SystemExit(f"{name}: the package has other values.")
    return True


def make(name, seed):
    """Tensors of the files, those of an unquantized folder, and the quantization_config."""
    rng = np.random.default_rng([seed, *name.encode()])
    dtype = "BF16" if name.endswith("bf16") else "F16"
    stored, checked = {}, False

    def linear(path, n, k):
        nonlocal checked
        if name == "gptq":  # symmetric, first version; the head too
            weight = Weight(rng, n, k, 4, 32, dtype, True, False)
            stored.update(gptq(path, weight, 4, True))
        elif name == "gptq-desc-act":
            weight = Weight(rng, n, k, 4, 32, dtype, False, True)
            stored.update(gptq(path, weight, 4, True))
        elif name == "gptq-v2-8bit":
            weight = Weight(rng, n, k, 8, 0, dtype, False, False)
            stored.update(gptq(path, weight, 8, False))
        elif name == "awq":
            weight = Weight(rng, n, k, 4, 32, dtype, False, False)
            stored.update(awq(path, weight))
        elif name == "compressed-bf16":
            weight = Weight(rng, n, k, 4, 32, dtype, True, False)
            tensors = compressed(path, weight, 4, True, False)
            stored.update(tensors)
            checked = check_with_package(path, tensors, scheme(4, 32, True), weight)
        else:  # compressed-mixed: 4 bits with zero points, ordered; 8 bits, a scale a row
            eight = path.endswith("down_proj")
            ordered = path.endswith("gate_proj")
            bits, group = (8, 0) if eight else (4, 32)
            weight = Weight(rng, n, k, bits, group, dtype, eight, ordered)
            tensors = compressed(path, weight, bits, eight, ordered)
            stored.update(tensors)
            if not ordered:  # the package no longer reads an order
                checked = check_with_package(path, tensors, scheme(bits, group, eight), weight)
        return weight.values()

    whole = {path + ".weight": (dtype, linear(path, n, k)) for path, (n, k) in LINEARS.items()}
    plain = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "lm_head.weight": (VOCABULARY, HIDDEN),
             "model.norm.weight": (HIDDEN,), LAYER + "input_layernorm.weight": (HIDDEN,),
             LAYER + "post_attention_layernorm.weight": (HIDDEN,)}
    if name == "gptq":
        whole["lm_head.weight"] = (dtype, linear("lm_head", VOCABULARY, HIDDEN))
        del plain["lm_head.weight"]
    for path, shape in plain.items():
        values = rng.standard_normal(shape) * 0.2 + (1.0 if len(shape) == 1 else 0.0)
        stored[path] = whole[path] = (dtype, from_float32(values.astype(np.float32), dtype))
    return stored, whole, dtype, checked


CONFIGS = {
    "gptq": gptq_config(4, 32, "gptq", True, False, lm_head=True),
    "gptq-desc-act": gptq_config(4, 32, "gptq", False, True),
    "gptq-v2-8bit": gptq_config(8, 0, "gptq_v2", False, False),
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True,
            "version": "gemm", "modules_to_not_convert": None},
    "compressed-bf16": compressed_config(scheme(4, 32, True)),
    "compressed-mixed": compressed_config(scheme(4, 32, False), scheme(8, 0, True)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for name, quantization in CONFIGS.items():
        stored, whole, dtype, checked = make(name, arguments.seed)
        folder = arguments.out / name
        folder.mkdir(parents=True, exist_ok=True)
        config = {**CONFIG, "torch_dtype": "bfloat16" if dtype == "BF16" else "float16",
                  "quantization_config": quantization}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        write_safetensors(folder / "model.safetensors", stored)
        golden = {path: {"shape": list(array.shape), "dtype": kind,
                         "fnv1a": fnv1a(to_float32(array, kind).astype("<f4").tobytes())}
                  for path, (kind, array) in sorted(whole.items())}
        (folder / "golden.json").write_text(json.dumps({"tensors": golden}, indent=1) + "\n")
        print(f"{name}: {len(golden)} tensors" + (", as the package has them" if checked else ""))


if __name__ == "__main__":
    main()
