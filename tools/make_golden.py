#!/usr/bin/env python3
"""Golden data of a model from an independent implementation: Hugging Face transformers in fp32.

Needs torch, transformers and tokenizers; neither building nor testing Atom does. Its forms:
  make_golden.py MODEL OUT.json --full           all logits of one random sequence (tiny models)
  make_golden.py MODEL OUT.json --full --lengths 40,160 --prompts 8,90
      of random sequences of these lengths, each computed at once, the logits of the first position,
      in the middle, at the end, and around the window and the context that the config names; greedy
      continuations of 64 tokens behind random prompts of these lengths, with margins, the first
      prompts found whose margins are all above --margin. MODEL may have weights.json instead of
      weights (hashed_weights.py): then OUT.json has their checksum
  make_golden.py --rope OUT.json                 frequencies and factors of many RoPE scalings
  make_golden.py MODEL OUT.json --text NAME=FILE --window 2048
      sequences with the 8 largest logits and 16 fixed ones of each position, greedy continuations
      with the margin of each choice, and the perplexity of each text: the whole text with one BOS,
      windows without overlap, the mean over windows of the mean over their predictions.
Logits are computed on the CPU, perplexities on a GPU where there is one (without TF32).
"""

import argparse
import contextlib
import json
import math
import pathlib
import random
import sys
import tempfile

import torch
import transformers
from tokenizers import Tokenizer

import hashed_weights

BOS = 1
TOP = 8
WATCHED = 16
CONTINUATION = 32
LONG_SEQUENCE = 200
FULL_SEQUENCE = 32
FULL_CONTINUATION = 64
CLEAR_MARGIN = 2e-3
PROMPTS = (
    "It was a dark and stormy night; the rain fell in torrents",
    "Once upon a time, there was a little girl who",
)


def rounded(tensor):
    """Nested lists of numbers with 8 significant digits."""
    values = tensor.tolist()
    if tensor.dim() == 1:
        return [float(f"{value:.8g}") for value in values]
    return [rounded(row) for row in tensor]


def load_model(directory):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    )
    scale_embedding(model, transformers.AutoConfig.from_pretrained(directory).dtype)
    return model.eval()


def scale_embedding(model, dtype):
    """Models that multiply embeddings by a number round it to the type that they run in: here the
    checkpoint's own, though all else is fp32 for the sake of comparing."""
    embedding = model.get_input_embeddings()
    if dtype is not None and hasattr(embedding, "embed_scale"):
        embedding.embed_scale.data = embedding.embed_scale.to(dtype).float()


def logits_of(model, tokens):
    """[T][vocabulary] of one sequence from position 0."""
    ids = torch.tensor([tokens], device=model.device)
    return model(ids, use_cache=False).logits[0].float().cpu()


def watched_ids(vocabulary):
    """16 ids spread over the vocabulary, the first and the last among them."""
    return [round(i * (vocabulary - 1) / (WATCHED - 1)) for i in range(WATCHED)]


def golden_sequence(model, name, tokens, watched):
    logits = logits_of(model, tokens)
    top = logits.topk(TOP, dim=-1)
    return {
        "name": name,
        "tokens": tokens,
        "top_ids": top.indices.tolist(),
        "top_logits": rounded(top.values),
        "watched_logits": rounded(logits[:, watched]),
    }


def golden_continuation(model, prompt, count=CONTINUATION, clear=0.0):
    """Greedy tokens, each with its margin over the runner-up: a small one is nearly a tie. Stops
    behind the first that is not clear."""
    tokens, margins = list(prompt), []
    for _ in range(count):
        best = logits_of(model, tokens)[-1].topk(2)
        tokens.append(int(best.indices[0]))
        margins.append(best.values[0] - best.values[1])
        if margins[-1] < clear:
            break
    return {
        "prompt": prompt,
        "tokens": tokens[len(prompt) :],
        "margins": rounded(torch.stack(margins)),
    }


def perplexity(model, name, tokens, window, batch=4):
    """Of all whole windows; the last, ragged one is dropped."""
    count = len(tokens) // window
    ids = torch.tensor(tokens[: count * window]).view(count, window).to(model.device)
    losses = []
    for part in ids.split(batch):
        logits = model(part, use_cache=False).logits[:, :-1].float()
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), part[:, 1:].flatten(), reduction="none"
        )
        losses.append(loss.view(len(part), -1).double().mean(dim=1).cpu())
    losses = torch.cat(losses)
    return {
        "dataset": name,
        "ppl": math.exp(losses.mean()),
        "windows": count,
        "window": window,
        "tokens": len(tokens),
        "first_windows_nll": rounded(losses[:8]),
    }


def golden(directory, texts, window):
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))

    def encode(text):
        return [BOS] + tokenizer.encode(text, add_special_tokens=False).ids

    encoded = {name: encode(text) for name, text in texts.items()}
    model = load_model(directory)
    vocabulary = model.config.vocab_size
    watched = watched_ids(vocabulary)
    rng = random.Random(0)
    sequences = {
        "prompt": encode(PROMPTS[0]),
        "random": [rng.randrange(vocabulary) for _ in range(24)],
    }
    if encoded:
        name, tokens = next(iter(encoded.items()))
        sequences[f"first {LONG_SEQUENCE} of {name}"] = tokens[:LONG_SEQUENCE]
    result = {
        "watched_ids": watched,
        "sequences": [golden_sequence(model, *item, watched) for item in sequences.items()],
        "greedy": [golden_continuation(model, encode(prompt)) for prompt in PROMPTS],
    }
    if torch.cuda.is_available():
        model.cuda()
    result["perplexity"] = [perplexity(model, *item, window) for item in encoded.items()]
    return result


def golden_full(directory):
    model = load_model(directory)
    rng = random.Random(0)
    tokens = [rng.randrange(model.config.vocab_size) for _ in range(FULL_SEQUENCE)]
    return {"tokens": tokens, "logits": rounded(logits_of(model, tokens))}


def marked_rows(config, length):
    """Positions whose logits are kept: both ends, the middle, and around every threshold."""
    rope = getattr(config, "rope_parameters", None) or {}
    thresholds = {
        getattr(config, "sliding_window", None),
        rope.get("original_max_position_embeddings"),
        config.max_position_embeddings,
    }
    rows = {0, length // 2, length - 1}
    for threshold in filter(None, thresholds):
        rows |= {threshold - 1, threshold, threshold + 1}
    return sorted(row for row in rows if row < length)


@contextlib.contextmanager
def with_weights(directory):
    """(the directory or, where its weights are only described, a temporary one that has them; their
    checksum or None)."""
    if not (directory / "weights.json").exists():
        yield directory, None
        return
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder), hashed_weights.write_checkpoint(directory, folder)


def golden_marked(directory, lengths, prompts, margin):
    """Each sequence as one of exactly its length: RoPE may depend on that."""
    result = {"sequences": [], "greedy": []}
    for length in lengths:
        model = load_model(directory)  # nothing cached of other lengths
        rng = random.Random(length)
        tokens = [rng.randrange(model.config.vocab_size) for _ in range(length)]
        rows = marked_rows(model.config, length)
        logits = logits_of(model, tokens)[rows]
        result["sequences"].append({"tokens": tokens, "rows": rows, "logits": rounded(logits)})
    for length in prompts:
        model = load_model(directory)
        for seed in range(1000):
            rng = random.Random(seed)
            prompt = [rng.randrange(model.config.vocab_size) for _ in range(length)]
            continuation = golden_continuation(model, prompt, FULL_CONTINUATION, margin)
            varied = len(set(continuation["tokens"])) >= 10  # not one loop of a few
            if varied and min(continuation["margins"]) >= margin:
                break
        else:
            raise SystemExit(f"{directory}: no clear greedy text behind {length} tokens")
        result["greedy"].append(continuation)
    return result


def rope_configs():
    """(config, lengths): what RoPE's fields can say."""
    llama = {"hidden_size": 256, "num_attention_heads": 4, "max_position_embeddings": 4096}
    yarn = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0}
    yarn["original_max_position_embeddings"] = 4096
    factors = {
        "short_factor": [1.0 + 0.01 * i for i in range(24)],
        "long_factor": [1.0 + 0.9 * i for i in range(24)],
    }
    longrope = {"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75, **factors}
    phi = {**llama, "original_max_position_embeddings": 2048, "max_position_embeddings": 65536}
    for rope in (
        {"rope_type": "default", "rope_theta": 5e5},
        {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.5},
        {
            "rope_type": "llama3",
            "rope_theta": 5e5,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 1024,
        },
        yarn,
        {**yarn, "truncate": False},
        {**yarn, "beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 0.75},
        {**yarn, "factor": 40.0, "mscale": 0.707, "mscale_all_dim": 1.2},
        {**yarn, "rope_theta": 150.0, "original_max_position_embeddings": 12},
    ):
        yield transformers.LlamaConfig(**llama, rope_parameters=dict(rope)), (4096,)
    dynamic = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 3.0}
    yield transformers.LlamaConfig(**llama, rope_parameters=dynamic), (100, 4096, 4097, 9000)
    for more in ({}, {"attention_factor": 1.5}, {"factor": 7.0}):
        rope = {**longrope, **more}
        yield transformers.Phi3Config(**phi, rope_parameters=rope), (100, 2048, 2049, 65536)


def golden_rope():
    """Frequencies and the factor of cos and sin that transformers uses for whole sequences."""
    cases = []
    for config, lengths in rope_configs():
        config.architectures = [type(config).__name__.replace("Config", "ForCausalLM")]
        rope = dict(config.rope_parameters)
        if rope["rope_type"] == "default":
            module = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding
            compute = lambda c, seq_len: module.compute_default_rope_parameters(c)
        else:
            compute = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[rope["rope_type"]]
        for length in lengths:
            frequencies, factor = compute(config, seq_len=length)
            fields = ("architectures", "model_type", "hidden_size", "intermediate_size")
            fields += ("num_hidden_layers", "num_attention_heads", "vocab_size")
            fields += ("max_position_embeddings", "original_max_position_embeddings")
            saved = {f: getattr(config, f) for f in fields if hasattr(config, f)}
            cases.append(
                {
                    "config": {**saved, "rope_parameters": rope},
                    "length": length,
                    "frequencies": rounded(frequencies),
                    "factor": float(factor),
                }
            )
    return {"cases": cases}


def numbers(text):
    return [int(part) for part in text.split(",") if part]


def write(path, value):
    """A line for each field and, in a list of objects, for each field of theirs."""

    def compact(part):
        return json.dumps(part, ensure_ascii=False, separators=(",", ":"))

    def field(key, part):
        if isinstance(part, list) and part and isinstance(part[0], dict):
            items = ",\n".join(
                " {" + ",\n  ".join(f"{compact(k)}:{compact(v)}" for k, v in item.items()) + "}"
                for item in part
            )
            return f"{compact(key)}:[\n{items}]"
        return f"{compact(key)}:{compact(part)}"

    path.write_text(
        "{" + ",\n".join(field(k, v) for k, v in value.items()) + "}\n", encoding="utf-8"
    )


@torch.no_grad()
def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=pathlib.Path, nargs="?", help="Hugging Face directory")
    parser.add_argument("out", type=pathlib.Path, help="JSON file to write")
    parser.add_argument("--full", action="store_true", help="all logits of one random sequence")
    parser.add_argument("--rope", action="store_true", help="RoPE scalings; no MODEL")
    parser.add_argument("--lengths", type=numbers, default=[], metavar="N,…")
    parser.add_argument("--prompts", type=numbers, default=[], metavar="N,…")
    parser.add_argument("--margin", type=float, default=CLEAR_MARGIN, help="of greedy choices")
    parser.add_argument(
        "--text",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="text to measure; the long sequence is the start of the first",
    )
    parser.add_argument(
        "--window", type=int, default=2048, help="tokens of a window (default 2048)"
    )
    arguments = parser.parse_args(argv)
    torch.backends.cuda.matmul.allow_tf32 = False
    result = {} if arguments.rope else {"model": arguments.model.resolve().name}
    result |= {
        "generator": f"transformers {transformers.__version__}, torch "
        f"{torch.__version__.partition('+')[0]}, fp32, eager attention",
    }
    if arguments.rope:
        result.update(golden_rope())
    elif arguments.lengths:
        lengths, prompts, margin = arguments.lengths, arguments.prompts, arguments.margin
        with with_weights(arguments.model) as (directory, checksum):
            result |= {"weights": checksum} if checksum else {}
            result.update(golden_marked(directory, lengths, prompts, margin))
    elif arguments.full:
        result.update(golden_full(arguments.model))
    else:
        texts = dict(named_file(argument) for argument in arguments.text)
        result.update(golden(arguments.model, texts, arguments.window))
    write(arguments.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
