#!/usr/bin/env python3
"""Makes the fixtures wide-* of tests/golden: one checkpoint of each family, wide enough for three
groups of 128 channels in every linear.

Their config.json, and the names, shapes and dtype of their tensors, are those that Hugging Face
transformers saves. Weights are not kept: weights.json says how they are computed
(hashed_weights.py). make_golden.py adds the logits. Needs torch and transformers.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import torch
import transformers

import hashed_weights
from safetensors_numpy import SafetensorsFile, STORAGE

# A context of four times the window; the vocabulary of the byte tokenizer of the tests.
BASE = {
    "vocab_size": 260,
    "hidden_size": 384,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 160,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
WIDE_HEADS = {"num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 128}
SLIDING = ["sliding_attention", "full_attention"]
GEMMA = {**BASE, "tie_word_embeddings": True, "head_dim": 64, "sliding_window": 40}
MIXTURE = {**BASE, "intermediate_size": 384, "head_dim": 64, "num_experts_per_tok": 2}
OPT = {
    **{k: v for k, v in BASE.items() if k not in ("intermediate_size", "num_key_value_heads")},
    "ffn_dim": 512,
    "tie_word_embeddings": True,
}

# name: (model type, dtype, seed, what its config says). What each is for: tests/golden/README.md.
MODELS = {
    "wide-llama": (
        "llama",
        "BF16",
        1,
        {
            **BASE,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 40,
            },
        },
    ),
    "wide-mistral": ("mistral", "BF16", 2, {**BASE, **WIDE_HEADS, "sliding_window": 40}),
    "wide-qwen2": (
        "qwen2",
        "BF16",
        3,
        {
            **BASE,
            "use_sliding_window": True,
            "sliding_window": 40,
            "max_window_layers": 1,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 2.0,
                "original_max_position_embeddings": 80,
            },
        },
    ),
    "wide-qwen3": (
        "qwen3",
        "BF16",
        4,
        {
            **BASE,
            **WIDE_HEADS,
            "use_sliding_window": True,
            "sliding_window": 40,
            "layer_types": SLIDING,
        },
    ),
    "wide-phi3": (
        "phi3",
        "BF16",
        5,
        {
            **BASE,
            "num_attention_heads": 4,  # of 96 channels, 72 of which are rotated
            "original_max_position_embeddings": 80,
            "partial_rotary_factor": 0.75,
            "sliding_window": 40,
            "rope_scaling": {
                "type": "longrope",
                "short_factor": [round(1 + 0.01 * i, 2) for i in range(36)],
                "long_factor": [round(1 + 0.1 * i, 1) for i in range(36)],
            },
        },
    ),
    "wide-gemma2": (
        "gemma2",
        "BF16",
        6,
        {
            **GEMMA,
            "query_pre_attn_scalar": 48,
            "attn_logit_softcapping": 3.0,
            "final_logit_softcapping": 4.0,
        },
    ),
    "wide-gemma3": (
        "gemma3_text",
        "BF16",
        7,
        {
            **GEMMA,
            "num_hidden_layers": 3,
            "query_pre_attn_scalar": 48,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {
                    "rope_type": "linear",
                    "factor": 4.0,
                    "rope_theta": 1000000.0,
                },
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
    ),
    "wide-mixtral": (
        "mixtral",
        "BF16",
        8,
        {**MIXTURE, "num_local_experts": 4, "sliding_window": 40},
    ),
    "wide-qwen3-moe": (
        "qwen3_moe",
        "BF16",
        9,
        {
            **MIXTURE,
            "moe_intermediate_size": 384,
            "num_experts": 4,
            "norm_topk_prob": False,
            "mlp_only_layers": [0],
        },
    ),
    "wide-opt": ("opt", "F16", 10, {**OPT, "word_embed_proj_dim": 384}),
    "wide-opt-350m": (
        "opt",
        "F32",
        11,
        {**OPT, "word_embed_proj_dim": 96, "do_layer_norm_before": False},
    ),
}
TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
OUTLIERS = {"large": 8.0, "every": 61}  # channels of norms in front of linears


def rule_of(name, shape, config):
    """Mean and deviation, so that logits are neither flat nor saturated; outlier channels."""
    gemma, opt = config["model_type"].startswith("gemma"), config["model_type"] == "opt"
    narrow = opt and config["word_embed_proj_dim"] < config["hidden_size"]
    one = 0.0 if gemma else 1.0  # Gemma's norms multiply by 1 + w
    if "embed_positions" in name:
        return {"mean": 0.0}, 4.0 if narrow else 1.0
    if "embed_tokens" in name:
        tied = {"gemma": 0.2 * shape[1] ** -0.5, "narrow": 0.4, "opt": 0.1, "": 1.0}
        return {"mean": 0.0}, tied[gemma * "gemma" or narrow * "narrow" or opt * "opt"]
    if len(shape) == 2:
        return {"mean": 0.0}, shape[1] ** -0.5
    if name.endswith(".bias"):
        return {"mean": 0.0}, 0.2 if "norm" in name else 0.3
    if name == "model.norm.weight" and gemma:
        return {"mean": 4.0}, 0.2
    behind = ("post_attention_layernorm", "post_feedforward_layernorm") if gemma else ()
    plain = ("q_norm", "k_norm", *behind)
    if "layers" not in name or narrow or any(part in name for part in plain):
        return {"mean": one}, 0.2
    return {"mean": one, **OUTLIERS}, 0.2


def saved_by_transformers(model, folder):
    """{name: (dtype, array)} as save_pretrained writes them."""
    model.save_pretrained(folder)
    file = SafetensorsFile(folder / "model.safetensors")
    return {name: (file.dtypes[name], array) for name, array in file.tensors.items()}


def make(directory, model_type, dtype, seed, fields):
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        config = transformers.AutoConfig.for_model(model_type, **fields)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=TORCH[dtype])
        saved = saved_by_transformers(model, folder)
        (directory / "config.json").write_bytes((folder / "config.json").read_bytes())
    rules = {}
    for name, (saved_dtype, array) in sorted(saved.items()):
        assert saved_dtype == dtype and dtype in STORAGE, (name, saved_dtype)
        rule, deviation = rule_of(name, array.shape, {**config.to_dict(), **fields})
        step = hashed_weights.step_of(deviation)
        rules[name] = {"shape": list(array.shape), **rule, "step": step}
    lines = ",\n".join(f"  {json.dumps(n)}: {json.dumps(rule)}" for n, rule in rules.items())
    (directory / "weights.json").write_text(
        f'{{"seed": {seed}, "dtype": "{dtype}",\n "tensors": {{\n{lines}}}}}\n'
    )
    check(directory, dtype)


def check(directory, dtype):
    """Transformers reads the checkpoint, and writes just the same tensors again."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        first, second = pathlib.Path(first), pathlib.Path(second)
        checksum = hashed_weights.write_checkpoint(directory, first)
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            first, dtype=TORCH[dtype], local_files_only=True, output_loading_info=True
        )
        assert not any(report.values()), report
        assert hashed_weights.checksum(saved_by_transformers(model, second)) == checksum


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=pathlib.Path, help="folder to write the directories into")
    parser.add_argument("names", nargs="*", help="which ones (default: all)")
    arguments = parser.parse_args(argv)
    for name in arguments.names or MODELS:
        make(arguments.target / name, *MODELS[name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
