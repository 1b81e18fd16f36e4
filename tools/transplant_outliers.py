#!/usr/bin/env python3
"""Gives a Llama checkpoint the activation outliers of a large model, without changing its function.

Small models have no channels that are much larger than the others, so nothing that a quantizer does
about outliers can be seen on them. This tool scales chosen channels up at the place that produces
them and down in the linears that read them, in every layer:
  * each norm (input_layernorm, post_attention_layernorm): 8 channels times 16 to 64;
    the columns of q, k, v or of gate, up divided by the same;
  * up_proj: 8 rows times 16 to 64; the columns of down_proj divided;
  * v_proj: 2 rows of each KV head times 4; the columns of o_proj of every query head that reads
    that KV head divided;
  * k_proj: 2 RoPE pairs (rows i and i + head_dim / 2) of each KV head times 4; the rows of q_proj
    of every query head that reads that KV head divided.
All factors are powers of two, so only exponents of the weights change, every product of an
activation and a weight stays what it was, and so does the model's output, bit for bit. A factor
that would lose a digit (underflow, overflow) is an error. The choice is written to outliers.json,
which --undo needs and which holds the checksums of the original files.
"""

import argparse
import hashlib
import json
import pathlib
import random
import shutil
import sys

import numpy as np

from safetensors_numpy import (
    CheckpointError,
    SafetensorsFile,
    checkpoint_files,
    from_float32,
    read_json,
    to_float32,
)

CHOICE_FILE = "outliers.json"
CHOICE_FORMAT = "atom-outliers-1"
CHANNEL_FACTORS = (16, 16, 32, 32, 32, 64, 64, 64)
HEAD_FACTOR = 4
PER_HEAD = 2
# What is copied beside the weights, where the source has it.
COMPANIONS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "model.safetensors.index.json",
)


class Shape:
    """The sizes that the choice depends on, from config.json."""

    def __init__(self, config_path):
        config = read_json(config_path)
        if config.get("model_type") not in ("llama", "mistral"):
            raise CheckpointError(
                f"{config_path}: model_type is {config.get('model_type')!r}, expected "
                f"'llama' or 'mistral'."
            )
        try:
            self.layers = config["num_hidden_layers"]
            self.hidden = config["hidden_size"]
            self.intermediate = config["intermediate_size"]
            self.heads = config["num_attention_heads"]
        except KeyError as error:
            raise CheckpointError(f"{config_path}: has no field {error}.") from error
        self.kv_heads = config.get("num_key_value_heads") or self.heads
        self.head_dim = config.get("head_dim") or self.hidden // self.heads

    @property
    def queries_per_kv(self):
        return self.heads // self.kv_heads


def choose(shape, seed):
    """The channels of every layer, by Python's own generator: the seed alone decides."""
    rng = random.Random(seed)

    def channels(count):
        if count < len(CHANNEL_FACTORS):
            raise CheckpointError(
                f"{count} channels are fewer than the {len(CHANNEL_FACTORS)} to scale."
            )
        return rng.sample(range(count), len(CHANNEL_FACTORS))

    def per_head(count):
        return [rng.sample(range(count), PER_HEAD) for _ in range(shape.kv_heads)]

    return [
        {
            "input_layernorm": channels(shape.hidden),
            "post_attention_layernorm": channels(shape.hidden),
            "up_proj": channels(shape.intermediate),
            "v_proj": per_head(shape.head_dim),
            "k_proj_pairs": per_head(shape.head_dim // 2),
        }
        for _ in range(shape.layers)
    ]


def layer_edits(shape, layer, chosen):
    """(tensor, axis, indices, exponents) for one layer: the factor 2^exponent of each index."""
    prefix = f"model.layers.{layer}."
    powers = np.array([f.bit_length() - 1 for f in CHANNEL_FACTORS])
    edits = []

    def scale(producers, readers, grown, shrunk, exponents):
        """Producers grow along axis 0 (their bias too), readers shrink along (name, axis)."""
        for name in producers:
            edits.append((prefix + name + ".weight", 0, grown, exponents))
            edits.append((prefix + name + ".bias", 0, grown, exponents))
        repeats = len(shrunk) // len(exponents)
        for name, axis in readers:
            edits.append((prefix + name + ".weight", axis, shrunk, -np.tile(exponents, repeats)))
            if axis == 0:
                edits.append((prefix + name + ".bias", 0, shrunk, -np.tile(exponents, repeats)))

    attention = [(f"self_attn.{x}_proj", 1) for x in "qkv"]
    mlp = [(f"mlp.{x}_proj", 1) for x in ("gate", "up")]
    for norm, readers in (("input_layernorm", attention), ("post_attention_layernorm", mlp)):
        scale([norm], readers, chosen[norm], chosen[norm], powers)
    scale(["mlp.up_proj"], [("mlp.down_proj", 1)], chosen["up_proj"], chosen["up_proj"], powers)

    half = shape.head_dim // 2
    for kv_head in range(shape.kv_heads):
        queries = range(kv_head * shape.queries_per_kv, (kv_head + 1) * shape.queries_per_kv)
        pairs = chosen["k_proj_pairs"][kv_head]
        for members, producer, reader in (
            (chosen["v_proj"][kv_head], "self_attn.v_proj", ("self_attn.o_proj", 1)),
            (pairs + [i + half for i in pairs], "self_attn.k_proj", ("self_attn.q_proj", 0)),
        ):
            exponents = np.full(len(members), HEAD_FACTOR.bit_length() - 1)
            scale(
                [producer],
                [reader],
                [kv_head * shape.head_dim + i for i in members],
                [q * shape.head_dim + i for q in queries for i in members],
                exponents,
            )
    return edits


def scaled_exactly(stored, dtype, exponents):
    """stored * 2^exponents in its own dtype, or None where a digit would be lost."""
    values = to_float32(stored, dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = from_float32(np.ldexp(values, exponents), dtype)
        back = from_float32(np.ldexp(to_float32(result, dtype), -exponents), dtype)
    same = back.tobytes() == np.ascontiguousarray(stored).tobytes()
    return result if same and np.isfinite(to_float32(result, dtype)).all() else None


def apply_edit(file, edit, sign):
    """Scales the chosen rows (axis 0) or columns (axis 1) of one tensor in place."""
    name, axis, indices, exponents = edit
    tensor, dtype = file.tensors[name], file.dtypes[name]
    if axis >= tensor.ndim or max(indices) >= tensor.shape[axis]:
        raise CheckpointError(
            f"{file.path}: tensor {name} of shape {list(tensor.shape)} has no index "
            f"{max(indices)} along axis {axis}, expected by config.json."
        )
    where = (slice(None),) * axis + (list(indices),)
    shape = [1] * tensor.ndim
    shape[axis] = len(indices)
    result = scaled_exactly(tensor[where], dtype, sign * np.reshape(exponents, shape))
    if result is None:
        raise CheckpointError(
            f"{file.path}: tensor {name} cannot be scaled by powers of two without "
            f"losing digits of its {dtype} values."
        )
    tensor[where] = result


def apply_choice(directory, shape, layers, sign):
    """Applies (sign 1) or undoes (sign -1) the choice to the weights in `directory`."""
    files = [SafetensorsFile(path, "r+") for path in checkpoint_files(directory)]
    owner = {name: file for file in files for name in file.tensors}
    for layer, chosen in enumerate(layers):
        for edit in layer_edits(shape, layer, chosen):
            name = edit[0]
            if name in owner:
                apply_edit(owner[name], edit, sign)
            elif name.endswith(".weight"):
                raise CheckpointError(
                    f"{directory}: has no tensor {name}, expected by config.json."
                )
    for file in files:
        file.flush()


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def copy_model(source, target):
    """Copies weights and companions, and no model card: it would speak for another model."""
    target.mkdir(parents=True)
    for path in checkpoint_files(source):
        shutil.copyfile(path, target / path.name)
    for name in COMPANIONS:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def transplant(source, target, seed):
    if (source / CHOICE_FILE).exists():
        raise CheckpointError(
            f"{source / CHOICE_FILE}: says that outliers were transplanted already; "
            f"--undo takes them out."
        )
    shape = Shape(source / "config.json")
    layers = choose(shape, seed)
    copy_model(source, target)
    apply_choice(target, shape, layers, 1)
    choice = {
        "format": CHOICE_FORMAT,
        "seed": seed,
        "channel_factors": list(CHANNEL_FACTORS),
        "head_factor": HEAD_FACTOR,
        "original_sha256": {p.name: sha256(p) for p in checkpoint_files(source)},
        "layers": layers,
    }
    write_choice(target / CHOICE_FILE, choice)


def write_choice(path, choice):
    """JSON with a line for each field, and one for each list of channels."""
    lines = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in choice.items() if k != "layers"]
    layers = [
        ",\n".join(f"   {json.dumps(k)}: {json.dumps(v)}" for k, v in layer.items())
        for layer in choice["layers"]
    ]
    lines.append(
        ' "layers": [' + ",".join("\n  {\n" + layer + "\n  }" for layer in layers) + "\n ]"
    )
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def undo(source, target):
    path = source / CHOICE_FILE
    choice = read_json(path)
    known = {
        "format": CHOICE_FORMAT,
        "channel_factors": list(CHANNEL_FACTORS),
        "head_factor": HEAD_FACTOR,
    }
    for field, expected in known.items():
        if choice.get(field) != expected:
            raise CheckpointError(
                f"{path}: {field} is {choice.get(field)!r}, expected {expected!r}."
            )
    shape = Shape(source / "config.json")
    layers = choice.get("layers", [])
    if len(layers) != shape.layers:
        raise CheckpointError(
            f"{path}: describes {len(layers)} layers, expected "
            f"{shape.layers} as in config.json."
        )
    copy_model(source, target)
    apply_choice(target, shape, layers, -1)
    for name, expected in choice.get("original_sha256", {}).items():
        found = sha256(target / name)
        if found != expected:
            raise CheckpointError(
                f"{source / name}: undone, its sha256 is {found}, expected {expected}; "
                f"the weights or {CHOICE_FILE} were changed."
            )


def run(arguments):
    """Writes the output directory, whole or not at all."""
    source, target = pathlib.Path(arguments.source), pathlib.Path(arguments.target)
    if target.exists():
        raise CheckpointError(f"{target}: exists already; name a directory that does not.")
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        if arguments.undo:
            undo(source, partial)
        else:
            transplant(source, partial, arguments.seed)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="Hugging Face directory of a Llama model (safetensors)")
    parser.add_argument("target", help="directory to write; it must not exist")
    parser.add_argument("--seed", type=int, default=0, help="choice of the channels (default 0)")
    parser.add_argument(
        "--undo",
        action="store_true",
        help=f"take out what {CHOICE_FILE} in SOURCE lists; gives back the original "
        "weights, byte for byte",
    )
    try:
        run(parser.parse_args(argv))
    except (CheckpointError, OSError) as error:
        print(f"transplant_outliers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
