"""A Llama in numpy, as plain as it gets: the second opinion of the tests of the tools.

float32 throughout, no cache, one sequence. It knows what the fixtures use: grouped queries, biases,
tied embeddings, a head_dim of its own, and the RoPE scalings "linear" and "llama3".
"""

import math
import pathlib

import numpy as np

from safetensors_numpy import SafetensorsFile, checkpoint_files, read_json, to_float32


def load(directory):
    """(config, {name: float32 array}) of a Hugging Face directory."""
    weights = {}
    for path in checkpoint_files(directory):
        file = SafetensorsFile(path)
        weights.update({n: to_float32(t, file.dtypes[n]) for n, t in file.tensors.items()})
    return read_json(pathlib.Path(directory) / "config.json"), weights


def _llama3(frequencies, rope):
    wavelengths = 2 * math.pi / frequencies
    original, factor = rope["original_max_position_embeddings"], rope["factor"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = (original / wavelengths - low) / (high - low)
    blend = (1 - smooth) * frequencies / factor + smooth * frequencies
    return np.where(
        wavelengths > original / low,
        frequencies / factor,
        np.where(wavelengths < original / high, frequencies, blend),
    )


def rope_angles(config, head_dim, count):
    """[count][head_dim / 2] angles; old and new spellings of the fields."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    frequencies = theta ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "linear":
        frequencies = frequencies / rope["factor"]
    elif kind == "llama3":
        frequencies = _llama3(frequencies, rope)
    elif kind != "default":
        raise ValueError(f"unknown RoPE scaling {kind}")
    return np.outer(np.arange(count), frequencies)


def rotate_halves(x, angles):
    """x[T][heads][d] rotated in the pairs (i, i + d / 2)."""
    cos = np.cos(angles).astype(np.float32)[:, None]
    sin = np.sin(angles).astype(np.float32)[:, None]
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def rms_norm(x, weight, epsilon):
    mean = np.mean(x * x, axis=-1, keepdims=True)
    return x / np.sqrt(mean + np.float32(epsilon)) * weight


def attend(q, k, v):
    """Causal attention of q[T][H][d] over k, v[T][KV][d] → [T][H * d]."""
    count, heads, dim = q.shape
    k, v = (np.repeat(x, heads // x.shape[1], axis=1) for x in (k, v))
    scores = np.einsum("qhd,khd->hqk", q, k) / np.float32(math.sqrt(dim))
    scores = np.where(np.tril(np.ones((count, count), bool)), scores, -np.inf)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    return np.einsum("hqk,khd->qhd", scores, v).reshape(count, heads * dim)


def forward(config, weights, tokens, rotate=rotate_halves):
    """The logits [T][vocabulary] of one sequence."""
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    epsilon, count = config["rms_norm_eps"], len(tokens)
    angles = rope_angles(config, head_dim, count)

    def linear(x, name):
        y = x @ weights[name + ".weight"].T
        return y + weights[name + ".bias"] if name + ".bias" in weights else y

    x = weights["model.embed_tokens.weight"][np.asarray(tokens)]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        y = rms_norm(x, weights[prefix + "input_layernorm.weight"], epsilon)
        q, k, v = (
            linear(y, f"{prefix}self_attn.{n}_proj").reshape(count, h, head_dim)
            for n, h in (("q", heads), ("k", kv_heads), ("v", kv_heads))
        )
        y = attend(rotate(q, angles), rotate(k, angles), v)
        x = x + linear(y, prefix + "self_attn.o_proj")
        y = rms_norm(x, weights[prefix + "post_attention_layernorm.weight"], epsilon)
        gate, up = linear(y, prefix + "mlp.gate_proj"), linear(y, prefix + "mlp.up_proj")
        x = x + linear(gate / (1 + np.exp(-gate)) * up, prefix + "mlp.down_proj")
    x = rms_norm(x, weights["model.norm.weight"], epsilon)
    return x @ weights.get("lm_head.weight", weights["model.embed_tokens.weight"]).T
