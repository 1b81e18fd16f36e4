"""GGUF models in Python, on the `gguf` package: what its keys and tensors are in a Hugging Face
folder. Independent of Atom, which is compared with it."""

import json
import pathlib

import gguf
import numpy as np

MODULES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
FIRST_STEP = {
    "gpt-2": None,
    "smollm": {"type": "Digits", "individual_digits": True},
}


def interleave(weight, heads):
    """Rows of q or k as llama files hold them: the two channels of a RoPE pair side by side."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(weight.shape)


def halves(weight, heads):
    """The reverse of interleave."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(weight.shape)


class GgufModel:
    """`config`, `tokenizer` and `tokenizer_config` are the parsed files of a folder; tensors() gives
    its tensors as float32."""

    def __init__(self, path):
        self.reader = gguf.GGUFReader(pathlib.Path(path))
        key = self.key
        self.names = {tensor.name for tensor in self.reader.tensors}
        tokens = key("tokenizer.ggml.tokens")
        self.config = {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "hidden_size": key("llama.embedding_length"),
            "intermediate_size": key("llama.feed_forward_length"),
            "num_hidden_layers": key("llama.block_count"),
            "num_attention_heads": key("llama.attention.head_count"),
            "num_key_value_heads": key("llama.attention.head_count_kv"),
            "max_position_embeddings": key("llama.context_length"),
            "rms_norm_eps": float(str(np.float32(key("llama.attention.layer_norm_rms_epsilon")))),
            "rope_theta": float(str(np.float32(key("llama.rope.freq_base")))),
            "vocab_size": len(tokens),
            "tie_word_embeddings": "output.weight" not in self.names,
            "bos_token_id": key("tokenizer.ggml.bos_token_id"),
            "eos_token_id": key("tokenizer.ggml.eos_token_id"),
            "torch_dtype": "float32",
        }
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                      "use_regex": True}
        first = FIRST_STEP[key("tokenizer.ggml.pre")]
        steps = ([first] if first else []) + [byte_level]
        types = key("tokenizer.ggml.token_type")
        self.tokenizer = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {"id": i, "content": tokens[i], "single_word": False, "lstrip": False,
                 "rstrip": False, "normalized": False, "special": types[i] == 3}
                for i in range(len(tokens)) if types[i] in (3, 4)
            ],
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
            "post_processor": None,
            "decoder": dict(byte_level),
            "model": {
                "type": "BPE", "dropout": None, "unk_token": None,
                "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                "byte_fallback": False, "ignore_merges": False,
                "vocab": {token: i for i, token in enumerate(tokens)},
                "merges": [merge.split(" ") for merge in key("tokenizer.ggml.merges")],
            },
        }
        self.tokenizer_config = {
            "bos_token": tokens[self.config["bos_token_id"]],
            "eos_token": tokens[self.config["eos_token_id"]],
            "add_bos_token": bool(key("tokenizer.ggml.add_bos_token")),
        }
        if key("tokenizer.chat_template") is not None:
            self.tokenizer_config["chat_template"] = key("tokenizer.chat_template")

    def key(self, name):
        field = self.reader.fields.get(name)
        return None if field is None else field.contents()

    def tensors(self):
        """(name, float32 array) by the names of a Hugging Face folder, in the file's order."""
        heads = {"attn_q": self.config["num_attention_heads"],
                 "attn_k": self.config["num_key_value_heads"]}
        for tensor in self.reader.tensors:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            values = values.reshape([int(size) for size in reversed(tensor.shape)])
            *prefix, module, part = tensor.name.split(".")
            if module in heads:
                values = halves(values, heads[module])
            layer = f"model.layers.{prefix[1]}." if prefix else ""
            yield f"{layer}{MODULES[module]}.{part}", np.ascontiguousarray(values, dtype=np.float32)

    def write_side_files(self, folder):
        for name, value in (("config.json", self.config), ("tokenizer.json", self.tokenizer),
                            ("tokenizer_config.json", self.tokenizer_config)):
            text = json.dumps(value, ensure_ascii=False)
            (pathlib.Path(folder) / name).write_text(text, encoding="utf-8")
