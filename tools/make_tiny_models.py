#!/usr/bin/env python3
"""Makes the tiny random models of tests/golden: one for each thing that a config can say.

They are fixtures: small Hugging Face directories with seeded random weights, in the dtypes and the
spellings of config.json that checkpoints come in. make_golden.py adds the logits that an
independent implementation computes for them.
"""

import argparse
import json
import pathlib
import sys
import zlib

import numpy as np

from safetensors_numpy import STORAGE, from_float32, write_safetensors

VOCABULARY = 96
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "vocab_size": VOCABULARY,
    "num_hidden_layers": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "max_position_embeddings": 128,
}
MISTRAL = {**LLAMA, "architectures": ["MistralForCausalLM"], "model_type": "mistral"}
# As Hugging Face saves them today: contexts of four times the window.
SMALL = {
    **LLAMA,
    "hidden_size": 64,
    "intermediate_size": 72,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 160,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}
QWEN2 = {
    **SMALL,
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "max_window_layers": 1,
    "sliding_window": 40,
}
QWEN3 = {
    **QWEN2,
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "head_dim": 32,
    "attention_bias": False,
}
SMALL_MISTRAL = {
    **{k: v for k, v in SMALL.items() if k not in ("architectures", "model_type")},
    "head_dim": 32,
    "sliding_window": 40,
}
PHI3 = {
    **SMALL,
    "architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3",
    "attention_bias": False,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
}
# Wide enough for 128 outliers beside groups of 128.
MIXTURE = {
    **{k: v for k, v in SMALL.items() if k not in ("architectures", "model_type")},
    "hidden_size": 384,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "num_experts_per_tok": 2,
}


def long_factors(pairs, step):
    return [round(1 + step * i, 3) for i in range(pairs)]


# name: (dtype, shards, config). What each is for is said once, in tests/golden/README.md.
MODELS = {
    "tiny-gqa": (
        "BF16",
        1,
        {
            **LLAMA,
            "hidden_size": 64,
            "intermediate_size": 88,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_theta": 10000.0,
            "rope_scaling": None,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
        },
    ),
    "tiny-bias": (
        "F32",
        1,
        {
            **LLAMA,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_attention_heads": 4,
            "attention_bias": True,
            "mlp_bias": True,
            "tie_word_embeddings": True,
            "dtype": "float32",
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
    ),
    "tiny-head-dim": (
        "F16",
        1,
        {
            **LLAMA,
            "hidden_size": 48,
            "intermediate_size": 72,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 32,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "torch_dtype": "float16",
        },
    ),
    "tiny-rope-linear": (
        "BF16",
        1,
        {
            **LLAMA,
            "hidden_size": 64,
            "intermediate_size": 72,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "rope_theta": 5000.0,
            "rope_scaling": {"type": "linear", "factor": 4.0},
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
        },
    ),
    "tiny-rope-llama3": (
        "BF16",
        1,
        {
            **LLAMA,
            "hidden_size": 64,
            "intermediate_size": 72,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 32,
            "tie_word_embeddings": False,
            "dtype": "bfloat16",
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        },
    ),
    "tiny-mistral": (
        "BF16",
        2,
        {
            **MISTRAL,
            "hidden_size": 64,
            "intermediate_size": 72,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_theta": 10000.0,
            "sliding_window": None,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
        },
    ),
    "tiny-qwen2": (
        "BF16",
        1,
        {**QWEN2, "use_sliding_window": False, "layer_types": ["full_attention"] * 2},
    ),
    "tiny-qwen2-window": (
        "BF16",
        1,
        {
            **{k: v for k, v in QWEN2.items() if k not in ("dtype", "rope_parameters")},
            "use_sliding_window": True,
            "num_key_value_heads": 4,
            "rope_theta": 1000000.0,
            "torch_dtype": "bfloat16",
        },
    ),
    "tiny-qwen2-yarn": (
        "BF16",
        1,
        {
            **QWEN2,
            "use_sliding_window": False,
            "head_dim": 32,
            "num_key_value_heads": 1,
            "max_position_embeddings": 40,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 1000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 40,
            },
        },
    ),
    "tiny-qwen3": (
        "BF16",
        1,
        {**QWEN3, "use_sliding_window": False, "layer_types": ["full_attention"] * 2},
    ),
    "tiny-qwen3-window": (
        "BF16",
        1,
        {
            **QWEN3,
            "use_sliding_window": True,
            "attention_bias": True,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "tiny-mistral-window": ("BF16", 1, {**MISTRAL, **SMALL_MISTRAL}),
    "tiny-mixtral": (
        "BF16",
        1,
        {
            **MIXTURE,
            "architectures": ["MixtralForCausalLM"],
            "model_type": "mixtral",
            "intermediate_size": 48,
            "num_local_experts": 4,
            "sliding_window": None,
        },
    ),
    "tiny-qwen3-moe": (
        "BF16",
        1,
        {
            **MIXTURE,
            "architectures": ["Qwen3MoeForCausalLM"],
            "model_type": "qwen3_moe",
            "attention_bias": False,
            "intermediate_size": 64,
            "moe_intermediate_size": 48,
            "num_experts": 4,
            "norm_topk_prob": False,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [0],
        },
    ),
    "tiny-rope-dynamic": (
        "BF16",
        1,
        {
            **SMALL,
            "max_position_embeddings": 80,
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0},
        },
    ),
    "tiny-phi3": (
        "BF16",
        1,
        {
            **PHI3,
            "original_max_position_embeddings": 160,
            "sliding_window": 40,
        },
    ),
    "tiny-phi3-long": (
        "BF16",
        1,
        {
            **{k: v for k, v in PHI3.items() if k != "rope_parameters"},
            "max_position_embeddings": 320,
            "original_max_position_embeddings": 80,
            "sliding_window": None,
            "partial_rotary_factor": 0.75,
            "rope_theta": 10000.0,
            "rope_scaling": {
                "type": "longrope",
                "short_factor": long_factors(12, 0.02),
                "long_factor": long_factors(12, 0.3),
            },
        },
    ),
}


def random_tensors(config, dtype, rng):
    """{name: (dtype, array)}, scaled so that the logits are neither flat nor saturated."""
    hidden, inner, heads = (
        config[f] for f in ("hidden_size", "intermediate_size", "num_attention_heads")
    )
    head_dim = config.get("head_dim", hidden // heads)
    q, kv = heads * head_dim, config.get("num_key_value_heads", heads) * head_dim
    family = config["model_type"]
    result = {}

    def put(name, values):
        result[name] = (dtype, from_float32(values.astype(np.float32), dtype))

    def linear(name, rows, columns, bias=False):
        put(name + ".weight", rng.standard_normal((rows, columns)) * columns**-0.5)
        if bias:
            put(name + ".bias", rng.standard_normal(rows) * 0.3)

    def norm(name, width=hidden):
        put(name + ".weight", 1 + 0.2 * rng.standard_normal(width))

    def attention(prefix):
        bias = config.get("attention_bias")
        if family == "phi3":
            linear(prefix + "qkv_proj", q + 2 * kv, hidden)
            linear(prefix + "o_proj", hidden, q)
            return
        for name, rows in (("q", q), ("k", kv), ("v", kv)):
            linear(f"{prefix}{name}_proj", rows, hidden, bias or family == "qwen2")
        linear(prefix + "o_proj", hidden, q, bias)
        if family in ("qwen3", "qwen3_moe"):
            norm(prefix + "q_norm", head_dim)
            norm(prefix + "k_norm", head_dim)

    def experts(prefix, count, width, names):
        linear(prefix + "gate", count, hidden)
        for expert in range(count):
            for name, rows, columns in zip(
                names, (width, width, hidden), (hidden, hidden, width), strict=True
            ):
                linear(f"{prefix}experts.{expert}.{name}", rows, columns)

    def ffn(prefix, layer):
        bias = config.get("mlp_bias")
        if family == "mixtral":
            names = ("w1", "w3", "w2")
            prefix = prefix.replace("mlp.", "block_sparse_moe.")
            return experts(prefix, config["num_local_experts"], inner, names)
        if family == "qwen3_moe" and layer not in config["mlp_only_layers"]:
            names = ("gate_proj", "up_proj", "down_proj")
            return experts(
                prefix, config["num_experts"], config["moe_intermediate_size"], names
            )
        if family == "phi3":
            linear(prefix + "gate_up_proj", 2 * inner, hidden)
        else:
            linear(prefix + "gate_proj", inner, hidden, bias)
            linear(prefix + "up_proj", inner, hidden, bias)
        return linear(prefix + "down_proj", hidden, inner, bias)

    put("model.embed_tokens.weight", rng.standard_normal((VOCABULARY, hidden)))
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        norm(prefix + "input_layernorm")
        norm(prefix + "post_attention_layernorm")
        attention(prefix + "self_attn.")
        ffn(prefix + "mlp.", layer)
    norm("model.norm")
    if not config["tie_word_embeddings"]:
        linear("lm_head", VOCABULARY, hidden)
    return result


def seed_of(name):
    """The first ones are numbered; a new one leaves the others as they are."""
    numbered = list(MODELS)[:6]
    return numbered.index(name) if name in numbered else zlib.crc32(name.encode())


def write_sharded(directory, tensors, shards):
    """Shards of consecutive names, and the index that maps each name to its shard."""
    weight_map, size = {}, 0
    for shard, names in enumerate(np.array_split(sorted(tensors), shards), 1):
        file = f"model-{shard:05}-of-{shards:05}.safetensors"
        write_safetensors(directory / file, {name: tensors[name] for name in names.tolist()})
        weight_map.update({name: file for name in names.tolist()})
    for dtype, array in tensors.values():
        size += array.size * STORAGE[dtype].itemsize
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=pathlib.Path, help="folder to write the directories into")
    target = parser.parse_args(argv).target
    for name, (dtype, shards, config) in MODELS.items():
        directory = target / name
        directory.mkdir(parents=True, exist_ok=True)
        tensors = random_tensors(config, dtype, np.random.default_rng(seed_of(name)))
        (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        if shards == 1:
            write_safetensors(directory / "model.safetensors", tensors)
        else:
            write_sharded(directory, tensors, shards)
    return 0


if __name__ == "__main__":
    sys.exit(main())
