"""A Llama in numpy, as plain as it gets: the second opinion of the tests of the tools.

float32 throughout, no cache, one sequence. It knows what the fixtures use: grouped queries, biases,
tied embeddings, a head_dim of its own, windows, norms of heads, fused linears, RoPE over a part of
a head, and its scalings.
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


def _yarn(frequencies, rope, theta, original):
    """Pairs that turn more than 32 times in the original context stay, below once are stretched."""
    dim, pairs = 2 * len(frequencies), np.arange(len(frequencies))
    first, last = (
        dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))
        for turns in (32, 1)
    )
    first, last = max(math.floor(first), 0), min(math.ceil(last), dim - 1)
    ramp = np.clip((pairs - first) / max(last - first, 0.001), 0, 1)
    return ramp * frequencies / rope["factor"] + (1 - ramp) * frequencies


def rope_angles(config, head_dim, count):
    """[count][rotated / 2] angles and what cos and sin are multiplied by; old and new spellings."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    kind = rope.get("rope_type") or rope.get("type") or "default"
    dim = int(head_dim * config.get("partial_rotary_factor", 1.0))
    longest = config.get("max_position_embeddings")
    original = config.get("original_max_position_embeddings")
    original = original or rope.get("original_max_position_embeddings") or longest
    if kind == "dynamic" and count > longest:
        stretch = rope["factor"] * count / longest - (rope["factor"] - 1)
        theta *= stretch ** (dim / (dim - 2))
    frequencies = theta ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
    scale = 1.0
    if kind == "linear":
        frequencies = frequencies / rope["factor"]
    elif kind == "llama3":
        frequencies = _llama3(frequencies, rope)
    elif kind == "yarn":
        frequencies = _yarn(frequencies, rope, theta, original)
        scale = 0.1 * math.log(rope["factor"]) + 1
    elif kind == "longrope":
        frequencies = frequencies / rope["long_factor" if count > original else "short_factor"]
        scale = math.sqrt(1 + math.log(longest / original) / math.log(original))
    elif kind not in ("default", "dynamic"):
        raise ValueError(f"unknown RoPE scaling {kind}")
    return np.outer(np.arange(count), frequencies), scale


def rotate_halves(x, angles, scale=1.0):
    """x[T][heads][d], its first channels rotated in the pairs (i, i + rotated / 2)."""
    cos = (scale * np.cos(angles)).astype(np.float32)[:, None]
    sin = (scale * np.sin(angles)).astype(np.float32)[:, None]
    first, second, rest = np.split(x, [angles.shape[1], 2 * angles.shape[1]], axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin, rest], axis=-1)


def layer_window(config, layer):
    """Positions that a query of the layer sees; 0: all."""
    window = config.get("sliding_window") or 0
    if config["model_type"].startswith("qwen"):
        types = config.get("layer_types")
        slides = layer >= config.get("max_window_layers", 0)
        if types:
            slides = types[layer] == "sliding_attention"
        return window if config.get("use_sliding_window") and slides else 0
    return window


def rms_norm(x, weight, epsilon):
    mean = np.mean(x * x, axis=-1, keepdims=True)
    return x / np.sqrt(mean + np.float32(epsilon)) * weight


def attend(q, k, v, window=0):
    """Causal attention of q[T][H][d] over k, v[T][KV][d] → [T][H * d]."""
    count, heads, dim = q.shape
    k, v = (np.repeat(x, heads // x.shape[1], axis=1) for x in (k, v))
    scores = np.einsum("qhd,khd->hqk", q, k) / np.float32(math.sqrt(dim))
    visible = np.tril(np.ones((count, count), bool))
    if window:
        visible &= ~np.tril(visible, -window)
    scores = np.where(visible, scores, -np.inf)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    return np.einsum("hqk,khd->qhd", scores, v).reshape(count, heads * dim)


def mixture(config, weights, x, prefix):
    """The experts that each row of x likes best, by their weights in a softmax over all of them."""
    names = ("gate_proj", "up_proj", "down_proj")
    if prefix + "gate.weight" not in weights:
        prefix, names = prefix.replace("mlp.", "block_sparse_moe."), ("w1", "w3", "w2")
    logits = x @ weights[prefix + "gate.weight"].T
    likes = np.exp(logits - logits.max(axis=1, keepdims=True))
    likes /= likes.sum(axis=1, keepdims=True)
    y = np.zeros_like(x)
    for row, like in enumerate(likes):
        chosen = np.argsort(-like)[: config["num_experts_per_tok"]]
        whole = like[chosen].sum() if config.get("norm_topk_prob", True) else 1.0
        for expert in chosen:
            gate, up, down = (weights[f"{prefix}experts.{expert}.{n}.weight"] for n in names)
            inner = gate @ x[row]
            inner = inner / (1 + np.exp(-inner)) * (up @ x[row])
            y[row] += like[expert] / whole * (down @ inner)
    return y


def forward(config, weights, tokens, rotate=rotate_halves):
    """The logits [T][vocabulary] of one sequence."""
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    epsilon, count = config["rms_norm_eps"], len(tokens)
    angles, scale = rope_angles(config, head_dim, count)

    def linear(x, name):
        y = x @ weights[name + ".weight"].T
        return y + weights[name + ".bias"] if name + ".bias" in weights else y

    x = weights["model.embed_tokens.weight"][np.asarray(tokens)]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        y = rms_norm(x, weights[prefix + "input_layernorm.weight"], epsilon)
        if prefix + "self_attn.qkv_proj.weight" in weights:
            qkv = linear(y, prefix + "self_attn.qkv_proj")
        else:
            qkv = np.concatenate([linear(y, f"{prefix}self_attn.{n}_proj") for n in "qkv"], axis=1)
        qkv = qkv.reshape(count, heads + 2 * kv_heads, head_dim)
        q, k, v = np.split(qkv, [heads, heads + kv_heads], axis=1)
        if prefix + "self_attn.q_norm.weight" in weights:
            q = rms_norm(q, weights[prefix + "self_attn.q_norm.weight"], epsilon)
            k = rms_norm(k, weights[prefix + "self_attn.k_norm.weight"], epsilon)
        turn = [angles] if scale == 1.0 else [angles, scale]
        y = attend(rotate(q, *turn), rotate(k, *turn), v, layer_window(config, layer))
        x = x + linear(y, prefix + "self_attn.o_proj")
        y = rms_norm(x, weights[prefix + "post_attention_layernorm.weight"], epsilon)
        if any(prefix + name + ".gate.weight" in weights for name in ("mlp", "block_sparse_moe")):
            x = x + mixture(config, weights, y, prefix + "mlp.")
            continue
        if prefix + "mlp.gate_up_proj.weight" in weights:
            gate, up = np.split(linear(y, prefix + "mlp.gate_up_proj"), 2, axis=1)
        else:
            gate, up = linear(y, prefix + "mlp.gate_proj"), linear(y, prefix + "mlp.up_proj")
        x = x + linear(gate / (1 + np.exp(-gate)) * up, prefix + "mlp.down_proj")
    x = rms_norm(x, weights["model.norm.weight"], epsilon)
    return x @ weights.get("lm_head.weight", weights["model.embed_tokens.weight"]).T
