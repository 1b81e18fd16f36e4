#!/usr/bin/env python3
"""Turns a llama2.c model (version 0 file and tokenizer) into a Hugging Face directory.

The weights stay fp32. Two things differ between the two forms:
  * llama2.c rotates neighbouring pairs (2i, 2i + 1) of each head, Hugging Face the pairs
    (i, i + d / 2): the rows of q and k are permuted accordingly, which leaves the scores alone;
  * llama2.c's tokenizer merges, again and again, the adjacent pair whose joined piece has the best
    score; tokenizer.json lists pairs by rank instead, here in the order of the scores.
Texts that begin with a space are the one place where the tokenizers differ: llama2.c puts a space
before any text, Hugging Face's Metaspace only where there is none.
"""

import argparse
import json
import pathlib
import shutil
import struct
import sys

import numpy as np

from safetensors_numpy import CheckpointError, write_safetensors

HEADER = struct.Struct("<7i")
BYTE_PIECES = 3  # ids 3..258 are the bytes; 0, 1, 2 are unk, bos, eos
BYTES = 256
ROPE_THETA = 10000.0
NORM_EPSILON = 1e-5  # llama2.c has it in its code, not in the file


def interleaved_to_halves(weight, heads):
    """Rows [heads * d][n] in RoPE pairs (2i, 2i + 1) → the same rows in pairs (i, i + d / 2)."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.transpose(0, 2, 1, 3).reshape(rows, columns)


class Llama2cModel:
    """The tensors of a version 0 file, by the names of Hugging Face, and its sizes."""

    def __init__(self, path):
        data = pathlib.Path(path).read_bytes()
        if len(data) < HEADER.size:
            raise CheckpointError(
                f"{path}: has {len(data)} bytes, expected a header of {HEADER.size}."
            )
        (
            self.hidden,
            self.intermediate,
            self.layers,
            self.heads,
            self.kv_heads,
            vocabulary,
            self.context,
        ) = HEADER.unpack_from(data)
        self.vocabulary, self.tied = abs(vocabulary), vocabulary > 0
        sizes = (
            self.hidden,
            self.intermediate,
            self.layers,
            self.heads,
            self.kv_heads,
            self.vocabulary,
            self.context,
        )
        if min(sizes) <= 0 or self.hidden % self.heads or self.heads % self.kv_heads:
            raise CheckpointError(
                f"{path}: the header {HEADER.unpack_from(data)} is not one of "
                f"llama2.c's version 0."
            )
        layout = self._layout()
        expected = HEADER.size + 4 * sum(int(np.prod(shape, dtype=np.int64)) for _, shape in layout)
        if len(data) != expected:
            raise CheckpointError(
                f"{path}: has {len(data)} bytes, expected {expected} by its header."
            )
        self._stacked, offset = {}, HEADER.size
        for name, shape in layout:
            count = int(np.prod(shape))
            self._stacked[name] = np.frombuffer(data, "<f4", count, offset).reshape(shape)
            offset += 4 * count

    @property
    def head_dim(self):
        return self.hidden // self.heads

    def _layout(self):
        """(name, shape) in the order of the file; the tensors of all layers lie together."""
        layers, hidden, inner = self.layers, self.hidden, self.intermediate
        kv = self.kv_heads * self.head_dim
        layout = [
            ("embed", (self.vocabulary, hidden)),
            ("input_layernorm", (layers, hidden)),
            ("q", (layers, hidden, hidden)),
            ("k", (layers, kv, hidden)),
            ("v", (layers, kv, hidden)),
            ("o", (layers, hidden, hidden)),
            ("post_attention_layernorm", (layers, hidden)),
            ("gate", (layers, inner, hidden)),
            ("down", (layers, hidden, inner)),
            ("up", (layers, inner, hidden)),
            ("norm", (hidden,)),
            ("rope_cos", (self.context, self.head_dim // 2)),
            ("rope_sin", (self.context, self.head_dim // 2)),
        ]
        return layout if self.tied else layout + [("lm_head", (self.vocabulary, hidden))]

    def check_rope(self, path):
        """The file's own table of cosines must be that of the theta that config.json will name."""
        frequencies = ROPE_THETA ** (-np.arange(0, self.head_dim, 2) / self.head_dim)
        expected = np.cos(np.outer(np.arange(self.context), frequencies))
        if np.abs(self._stacked["rope_cos"] - expected).max() > 1e-3:
            raise CheckpointError(f"{path}: its RoPE table is not that of theta {ROPE_THETA:g}.")

    def tensors(self):
        """{name: ("F32", array)} as Hugging Face stores a Llama."""
        s, result = self._stacked, {}
        result["model.embed_tokens.weight"] = s["embed"]
        result["model.norm.weight"] = s["norm"]
        if not self.tied:
            result["lm_head.weight"] = s["lm_head"]
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}."
            for name in ("input_layernorm", "post_attention_layernorm"):
                result[f"{prefix}{name}.weight"] = s[name][layer]
            for name, heads in (("q", self.heads), ("k", self.kv_heads)):
                result[f"{prefix}self_attn.{name}_proj.weight"] = interleaved_to_halves(
                    s[name][layer], heads
                )
            for name in ("v", "o"):
                result[f"{prefix}self_attn.{name}_proj.weight"] = s[name][layer]
            for name in ("gate", "up", "down"):
                result[f"{prefix}mlp.{name}_proj.weight"] = s[name][layer]
        return {name: ("F32", array) for name, array in result.items()}

    def config(self):
        return {
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": False,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": self.context,
            "mlp_bias": False,
            "model_type": "llama",
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": NORM_EPSILON,
            "rope_scaling": None,
            "rope_theta": ROPE_THETA,
            "tie_word_embeddings": self.tied,
            "torch_dtype": "float32",
            "vocab_size": self.vocabulary,
        }


def read_pieces(path, count):
    """[(score, bytes)] of a llama2.c tokenizer: int32 longest length, (score, length, bytes) …"""
    data, pieces, offset = pathlib.Path(path).read_bytes(), [], 4
    for index in range(count):
        if offset + 8 > len(data):
            raise CheckpointError(f"{path}: ends after {index} pieces, expected {count}.")
        score, length = struct.unpack_from("<fi", data, offset)
        piece = data[offset + 8 : offset + 8 + max(length, 0)]
        if length <= 0 or len(piece) != length:
            raise CheckpointError(f"{path}: piece {index} of {length} bytes does not fit the file.")
        pieces.append((score, piece))
        offset += 8 + length
    return pieces


def vocabulary_of(pieces, path):
    """{piece: id} with the names of Hugging Face: <unk>, <s>, </s>, <0x00>, …, ▁ for a space."""
    names = ["<unk>", "<s>", "</s>"]
    for index, (_, piece) in enumerate(pieces[BYTE_PIECES:], BYTE_PIECES):
        byte = index - BYTE_PIECES
        if byte < BYTES and piece != b"<0x%02X>" % byte:
            raise CheckpointError(
                f"{path}: piece {index} is {piece!r}, expected {b'<0x%02X>' % byte!r}."
            )
        names.append(piece.decode("utf-8").replace(" ", "\u2581"))
    return {name: index for index, name in enumerate(names)}


def merges_of(vocabulary, pieces):
    """Every pair of pieces whose joined piece exists, best score first, then by the ids."""
    text = {name: index for name, index in vocabulary.items() if index >= BYTE_PIECES + BYTES}
    merges = []
    for joined, index in text.items():
        for cut in range(1, len(joined)):
            left, right = text.get(joined[:cut]), text.get(joined[cut:])
            if left is not None and right is not None:
                merges.append((-pieces[index][0], left, right, [joined[:cut], joined[cut:]]))
    return [pair for *_, pair in sorted(merges)]


def tokenizer_json(vocabulary, merges):
    def added(name):
        return {
            "id": vocabulary[name],
            "content": name,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }

    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(name) for name in ("<unk>", "<s>", "</s>")],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": "\u2581",
            "prepend_scheme": "first",
            "split": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<s>", "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [vocabulary["<s>"]], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def tokenizer_config(context):
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "clean_up_tokenization_spaces": False,
        "legacy": False,
        "model_max_length": context,
        "tokenizer_class": "LlamaTokenizer",
    }


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def convert(model_path, tokenizer_path, target):
    """Writes the directory, whole or not at all."""
    if target.exists():
        raise CheckpointError(f"{target}: exists already; name a directory that does not.")
    model = Llama2cModel(model_path)
    model.check_rope(model_path)
    pieces = read_pieces(tokenizer_path, model.vocabulary)
    vocabulary = vocabulary_of(pieces, tokenizer_path)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        write_safetensors(partial / "model.safetensors", model.tensors())
        write_json(partial / "config.json", model.config())
        write_json(
            partial / "tokenizer.json", tokenizer_json(vocabulary, merges_of(vocabulary, pieces))
        )
        write_json(partial / "tokenizer_config.json", tokenizer_config(model.context))
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="llama2.c weights, version 0 (stories260K.bin)")
    parser.add_argument("tokenizer", help="llama2.c tokenizer (tok512.bin)")
    parser.add_argument("target", help="directory to write; it must not exist")
    arguments = parser.parse_args(argv)
    try:
        convert(arguments.model, arguments.tokenizer, pathlib.Path(arguments.target))
    except (CheckpointError, OSError) as error:
        print(f"convert_llama2c: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
