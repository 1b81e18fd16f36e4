#!/usr/bin/env python3
"""Golden data of a model from an independent implementation: Hugging Face transformers in fp32.

Needs torch, transformers and tokenizers; neither building nor testing Atom does. Two forms:
  make_golden.py MODEL OUT.json --full           all logits of one random sequence (tiny models)
  make_golden.py MODEL OUT.json --text NAME=FILE --window 2048
      sequences with the 8 largest logits and 16 fixed ones of each position, greedy continuations
      with the margin of each choice, and the perplexity of each text: the whole text with one BOS,
      windows without overlap, the mean over windows of the mean over their predictions.
Logits are computed on the CPU, perplexities on a GPU where there is one (without TF32).
"""

import argparse
import json
import math
import pathlib
import random
import sys

import torch
import transformers
from tokenizers import Tokenizer

BOS = 1
TOP = 8
WATCHED = 16
CONTINUATION = 32
LONG_SEQUENCE = 200
FULL_SEQUENCE = 32
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
    return model.eval()


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


def golden_continuation(model, prompt):
    """Greedy tokens, each with its margin over the runner-up: a small one is nearly a tie."""
    tokens, margins = list(prompt), []
    for _ in range(CONTINUATION):
        best = logits_of(model, tokens)[-1].topk(2)
        tokens.append(int(best.indices[0]))
        margins.append(best.values[0] - best.values[1])
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


def named_file(argument):
    name, _, path = argument.partition("=")
    # newline="": the text as it is, no line end translated.
    with open(path, encoding="utf-8", newline="") as file:
        return name, file.read()


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
    parser.add_argument("model", type=pathlib.Path, help="Hugging Face directory")
    parser.add_argument("out", type=pathlib.Path, help="JSON file to write")
    parser.add_argument("--full", action="store_true", help="all logits of one random sequence")
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
    result = {
        "model": arguments.model.resolve().name,
        "generator": f"transformers {transformers.__version__}, torch "
        f"{torch.__version__.partition('+')[0]}, fp32, eager attention",
    }
    if arguments.full:
        result.update(golden_full(arguments.model))
    else:
        texts = dict(named_file(argument) for argument in arguments.text)
        result.update(golden(arguments.model, texts, arguments.window))
    write(arguments.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
