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


GEMMA3 = {
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "hidden_activation": "gelu_pytorch_tanh",
    "rms_norm_eps": 1e-6,
    "vocab_size": VOCABULARY,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "max_position_embeddings": 128,
    "sliding_window": 32,
}

OPT = {
    "architectures": ["OPTForCausalLM"],
    "model_type": "opt",
    "vocab_size": VOCABULARY,
    "num_hidden_layers": 3,
    "bos_token_id": 2,
    "eos_token_id": 2,
    "pad_token_id": 1,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
    "enable_bias": True,
    "layer_norm_elementwise_affine": True,
    "dropout": 0.1,
}

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


# Families that are no Llama with a few things more: numpy_llama.py does not know them.
FAMILIES = {
    "tiny-gemma3": (
        "BF16",
        1,
        {
            **GEMMA3,
            "hidden_size": 96,
            "intermediate_size": 160,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "query_pre_attn_scalar": 24,
            "sliding_window_pattern": 3,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "torch_dtype": "bfloat16",
        },
    ),
    "tiny-gemma2": (
        "BF16",
        1,
        {
            **GEMMA3,
            "architectures": ["Gemma2ForCausalLM"],
            "model_type": "gemma2",
            "hidden_size": 80,
            "intermediate_size": 128,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "query_pre_attn_scalar": 20,
            "rope_theta": 10000.0,
            "attn_logit_softcapping": 3.0,
            "final_logit_softcapping": 1.5,
            "torch_dtype": "bfloat16",
        },
    ),
    "tiny-gemma3-types": (
        "F32",
        1,
        {
            **GEMMA3,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {
                    "rope_type": "linear",
                    "factor": 2.0,
                    "rope_theta": 500000.0,
                },
                "sliding_attention": {"rope_type": "default", "rope_theta": 20000.0},
            },
            "dtype": "float32",
        },
    ),
    "tiny-opt": (
        "F16",
        1,
        {
            **OPT,
            "hidden_size": 96,
            "ffn_dim": 200,
            "num_attention_heads": 6,
            "word_embed_proj_dim": 96,
            "do_layer_norm_before": True,
            "activation_function": "relu",
            "torch_dtype": "float16",
        },
    ),
    "tiny-opt-350m": (
        "F32",
        1,
        {
            **OPT,
            "num_hidden_layers": 2,
            "hidden_size": 64,
            "ffn_dim": 128,
            "num_attention_heads": 4,
            "word_embed_proj_dim": 40,
            "do_layer_norm_before": False,
            "activation_function": "relu",
            "dtype": "float32",
        },
    ),
}


def opt_tensors(config, put, linear, rng):
    """With biases everywhere, and tables that may be narrower than the model."""
    hidden, inner, width = (config[f] for f in ("hidden_size", "ffn_dim", "word_embed_proj_dim"))
    decoder = "model.decoder."

    def norm(name):
        put(name + ".weight", 1 + 0.2 * rng.standard_normal(hidden))
        put(name + ".bias", 0.2 * rng.standard_normal(hidden))

    size = 0.1 if width == hidden else 0.6
    put(decoder + "embed_tokens.weight", size * rng.standard_normal((VOCABULARY, width)))
    rows = config["max_position_embeddings"] + 2
    reach = 1 if width == hidden else 4  # norms behind the sums leave less of it
    put(decoder + "embed_positions.weight", reach * rng.standard_normal((rows, hidden)))
    if width != hidden:
        linear(decoder + "project_in", hidden, width)
        linear(decoder + "project_out", width, hidden)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"{decoder}layers.{layer}."
        norm(prefix + "self_attn_layer_norm")
        norm(prefix + "final_layer_norm")
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{prefix}self_attn.{name}", hidden, hidden, True)
        linear(prefix + "fc1", inner, hidden, True)
        linear(prefix + "fc2", hidden, inner, True)
    if config["do_layer_norm_before"]:
        norm(decoder + "final_layer_norm")


def random_tensors(config, dtype, rng):
    """{name: (dtype, array)}, scaled so that the logits are neither flat nor saturated."""
    family = config["model_type"]
    result = {}

    def put(name, values):
        result[name] = (dtype, from_float32(values.astype(np.float32), dtype))

    def linear(name, rows, columns, bias=False):
        put(name + ".weight", rng.standard_normal((rows, columns)) * columns**-0.5)
        if bias:
            put(name + ".bias", rng.standard_normal(rows) * 0.3)

    if family == "opt":
        opt_tensors(config, put, linear, rng)
        return result
    hidden, inner, heads = (
        config[f] for f in ("hidden_size", "intermediate_size", "num_attention_heads")
    )
    head_dim = config.get("head_dim", hidden // heads)
    q, kv = heads * head_dim, config.get("num_key_value_heads", heads) * head_dim
    gemma = family.startswith("gemma")

    def norm(name, width=hidden):
        put(name + ".weight", (0 if gemma else 1) + 0.2 * rng.standard_normal(width))

    def attention(prefix):
        bias = config.get("attention_bias")
        if family == "phi3":
            linear(prefix + "qkv_proj", q + 2 * kv, hidden)
            linear(prefix + "o_proj", hidden, q)
            return
        for name, rows in (("q", q), ("k", kv), ("v", kv)):
            linear(f"{prefix}{name}_proj", rows, hidden, bias or family == "qwen2")
        linear(prefix + "o_proj", hidden, q, bias)
        if family in ("qwen3", "qwen3_moe", "gemma3_text"):
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

    # Scaled and tied ones of size 1 would make every model repeat its last token.
    size = 0.2 * hidden**-0.5 if gemma else 1
    put("model.embed_tokens.weight", size * rng.standard_normal((VOCABULARY, hidden)))
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        norm(prefix + "input_layernorm")
        norm(prefix + "post_attention_layernorm")
        if gemma:
            norm(prefix + "pre_feedforward_layernorm")
            norm(prefix + "post_feedforward_layernorm")
        attention(prefix + "self_attn.")
        ffn(prefix + "mlp.", layer)
    norm("model.norm")
    if gemma:  # logits of about 1
        put("model.norm.weight", 4 + 0.2 * rng.standard_normal(hidden))
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
    for name, (dtype, shards, config) in {**MODELS, **FAMILIES}.items():
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
