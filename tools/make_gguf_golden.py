#!/usr/bin/env python3
"""Golden data of GGUF, made by the `gguf` and `tokenizers` packages:

  blocks.json  random blocks of every type and their elements as fp32, both as hexadecimal bytes
  tiny.gguf    tests/golden/tiny-gqa with tensors of many types and a small tokenizer
  tiny-*.gguf  fixtures of other families, BF16, by the package's own names of tensors
  tiny.json    what its tensors are in a Hugging Face folder (shape and FNV-1a of the fp32 bytes),
               and the ids of some texts

Needs gguf 0.17.1 and tokenizers 0.23:  tools/make_gguf_golden.py OUT_DIR [--seed N] [--blocks-only]
"""

import argparse
import json
import math
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf_model import MODULES, GgufModel, interleave
from safetensors_numpy import SafetensorsFile, to_float32

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK_TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
               "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0"]
BLOCKS = 3
TEXTS = ["Hello, world!", "a1234 5.6 and 12th", "  two  spaces\n\n\nlines", "don't we'll 'tis",
         "<|im_start|>user<|im_end|>", "caf\u00e9 \u4f60\u597d \x00\x7f tab\there", "", "7 8 99 100"]


def random_blocks(rng, name):
    """Blocks of any bytes whose elements are finite."""
    _, size = gguf.constants.GGML_QUANT_SIZES[Type[name]]
    found = []
    while len(found) < BLOCKS:
        block = rng.integers(0, 256, size, dtype=np.uint8)
        with np.errstate(all="ignore"):
            values = gguf.quants.dequantize(block.reshape(1, -1), Type[name])
        if np.isfinite(values).all():
            found.append((block, values.astype(np.float32)))
    return {"blocks": b"".join(block.tobytes() for block, _ in found).hex(),
            "values": b"".join(values.tobytes() for _, values in found).hex()}


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def byte_alphabet():
    """GPT-2's spelling of bytes: printable ones as themselves, the others from U+0100 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spelled, extra = {}, 0
    for byte in range(256):
        spelled[byte] = chr(byte if byte in plain else 256 + extra)
        extra += byte not in plain
    return spelled


def tiny_vocabulary(size):
    """Tokens, types and merges: control tokens, most of ASCII, and words of two letters."""
    alphabet = byte_alphabet()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = [alphabet[ord(c)] for c in "\n abcdefghijklmnopqrstuvwxyzHW0123456789.,!'<|>_"]
    pairs = [("h", "e"), ("l", "l"), ("o", "r"), ("\u0120", "a"), ("\u0120", "w"), ("a", "n"),
             ("an", "d"), ("1", "2"), ("\u0120", "1"), ("\u0120w", "or")]
    tokens = special + letters + [a + b for a, b in pairs]
    unused = [f"<unused{i}>" for i in range(size - len(tokens))]
    return (tokens + unused, [3] * 3 + [1] * (len(tokens) - 3) + [4] + [5] * (len(unused) - 1),
            [f"{a} {b}" for a, b in pairs])


def write_tiny(path):
    source = ROOT / "tests/golden/tiny-gqa"
    config = json.loads((source / "config.json").read_text())
    checkpoint = SafetensorsFile(source / "model.safetensors")
    names = {hf: name for name, hf in MODULES.items()}
    types = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "BF16", "F32"]

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    tokens, token_types, merges = tiny_vocabulary(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(token_types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
                             "<|im_end|>\n{% endfor %}")
    for i, (name, array) in enumerate(sorted(checkpoint.tensors.items())):
        values = to_float32(array, checkpoint.dtypes[name]).astype(np.float32)
        parts = name.split(".")
        layer = f"blk.{parts[2]}." if name.startswith("model.layers.") else ""
        module = names[".".join(parts[3 if layer else 0:-1])]
        heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
        if module in heads:
            values = interleave(values, heads[module])
        kind = types[i % len(types)]
        if values.ndim == 1:
            kind = "F32"
        elif values.shape[1] % 32 != 0:
            kind = "F16"
        data = gguf.quants.quantize(values, Type[kind])
        writer.add_tensor(f"{layer}{module}.{parts[-1]}", data, raw_dtype=Type[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


FAMILIES = {"tiny-qwen2": "QWEN2", "tiny-qwen2-yarn": "QWEN2", "tiny-qwen3": "QWEN3",
            "tiny-phi3": "PHI3", "tiny-phi3-long": "PHI3", "tiny-gemma2": "GEMMA2"}
# Only the second layer: one of Qwen3's fixture has no experts, which GGUF cannot say.
MIXTURES = {"tiny-mixtral": "LLAMA", "tiny-qwen3-moe": "QWEN3MOE"}


def write_rope(writer, config, head_dim):
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    writer.add_rope_freq_base(rope.get("rope_theta", config.get("rope_theta")))
    original = config.get("original_max_position_embeddings")
    writer.add_rope_dimension_count(int(head_dim * config.get("partial_rotary_factor", 1.0)))
    if config["model_type"] == "phi3":
        writer.add_sliding_window(config["sliding_window"] or 0)
        writer.add_rope_scaling_orig_ctx_len(original)
    if rope.get("rope_type") == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if "long_factor" in rope:
        ratio = config["max_position_embeddings"] / original
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(ratio) / math.log(original)))
        for length in ("long", "short"):
            values = np.array(rope[f"{length}_factor"], np.float32)
            writer.add_tensor(f"rope_factors_{length}.weight", values)


def write_gemma(writer, config):
    writer.add_sliding_window(config["sliding_window"])
    writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
    writer.add_final_logit_softcapping(config["final_logit_softcapping"])


def write_experts(writer, config):
    writer.add_expert_count(config.get("num_local_experts", config.get("num_experts")))
    writer.add_expert_used_count(config["num_experts_per_tok"])
    if "moe_intermediate_size" in config:
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])


def stack_experts(tensors):
    """[E][N][K] of the experts' matrices, in the place of them."""
    stacks = {}
    for name in [name for name in tensors if ".experts." in name]:
        prefix, rest = name.split(".experts.")
        expert, module = rest.split(".", 1)
        stacks.setdefault(f"{prefix}.experts.{module}", {})[int(expert)] = tensors.pop(name)
    for name, experts in stacks.items():
        tensors[name] = np.stack([experts[e] for e in range(len(experts))])


def kind_of(name, values, matrices):
    """Routers stay as they are, as in everybody's files, and rows that are no whole blocks."""
    if values.ndim == 1:
        return Type.F32
    block, _ = gguf.constants.GGML_QUANT_SIZES[matrices]
    return Type.BF16 if ".gate." in name or values.shape[-1] % block else matrices


def write_family(path, fixture, architecture, layer=None, matrices=Type.BF16):
    """All layers, or that one alone."""
    source = ROOT / "tests/golden" / fixture
    config = json.loads((source / "config.json").read_text())
    checkpoint = SafetensorsFile(source / "model.safetensors")
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim", config["hidden_size"] // heads)
    arch = gguf.MODEL_ARCH[architecture]
    layers = config["num_hidden_layers"] if layer is None else 1
    names = gguf.get_tensor_name_map(arch, layers)

    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    if "head_dim" in config:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    write_rope(writer, config, head_dim)
    tensors = {}
    for name, array in sorted(checkpoint.tensors.items()):
        values = to_float32(array, checkpoint.dtypes[name]).astype(np.float32)
        if layer is not None and name.startswith("model.layers."):
            if not name.startswith(f"model.layers.{layer}."):
                continue
            name = name.replace(f".{layer}.", ".0.", 1)
        if architecture == "GEMMA2" and name.endswith("norm.weight"):
            values = values + 1
        if architecture == "LLAMA" and name.endswith(("q_proj.weight", "k_proj.weight")):
            values = interleave(values, values.shape[0] // head_dim)
        tensors[name] = values
    if architecture == "GEMMA2":
        write_gemma(writer, config)
    if layer is not None:
        write_experts(writer, config)
        stack_experts(tensors)
    for name, values in sorted(tensors.items()):
        kind = kind_of(name, values, matrices)
        data = gguf.quants.quantize(values, kind)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), data,
                          raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe_tiny(path):
    import tokenizers  # only here: blocks need none

    model = GgufModel(path)
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(model.tokenizer))
    return {
        "tensors": {name: {"shape": list(values.shape), "fnv1a": fnv1a(values.tobytes())}
                    for name, values in model.tensors()},
        "texts": [{"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids}
                  for text in TEXTS],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--blocks-only", action="store_true")
    parser.add_argument("--families-only", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for fixture, architecture in FAMILIES.items():
        write_family(options.out / f"{fixture}.gguf", fixture, architecture)
    for fixture, architecture in MIXTURES.items():
        write_family(options.out / f"{fixture}.gguf", fixture, architecture, layer=1)
    write_family(options.out / "tiny-mixtral-q4_0.gguf", "tiny-mixtral", "LLAMA", layer=1,
                 matrices=Type.Q4_0)
    if options.families_only:
        return
    rng = np.random.default_rng(options.seed)
    blocks = {name: random_blocks(rng, name) for name in BLOCK_TYPES}
    (options.out / "blocks.json").write_text(json.dumps(blocks, indent=1) + "\n")
    if options.blocks_only:
        return
    write_tiny(options.out / "tiny.gguf")
    text = json.dumps(describe_tiny(options.out / "tiny.gguf"), indent=1, ensure_ascii=True)
    (options.out / "tiny.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
