#!/usr/bin/env python3
"""Compares atom's tokenizers with the original libraries on random text.

    tools/tokenizer_parity.py MODEL_DIR... [--atom build/src/atom/atom] [--texts 20] [--seed 0]

For each form of tokenizer that a directory holds, random texts (many scripts, runs of white space,
contractions, digits, emoji, special tokens spelled out) go through `atom tokenize` and through
  tokenizer.json           tokenizers        (Hugging Face)
  tokenizer.model          sentencepiece, or tiktoken with Llama 3's pattern
  vocab.json + merges.txt  tokenizers
and the ids must be the same, with special tokens as text and, where the original can, as tokens.
Needs `pip install tokenizers sentencepiece tiktoken`; without a package its forms are skipped with a
sentence. Known difference: at the start of a text Metaspace adds its space even before a space (as
SentencePiece does), so texts here start with a letter.
"""

import argparse
import base64
import importlib.util
import pathlib
import random
import subprocess
import sys
import tempfile

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
FORMS = (("tokenizer.json",), ("tokenizer.model",), ("vocab.json", "merges.txt"))
# Blocks that were full before any of the libraries' Unicode versions: they agree on these.
RANGES = ((0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF),
          (0x5D0, 0x5EA), (0x620, 0x64A), (0x660, 0x669), (0x904, 0x939), (0xE01, 0xE30),
          (0x1780, 0x17B3), (0x2000, 0x206F), (0x2150, 0x2188), (0x2190, 0x23FF), (0x2460, 0x24FF),
          (0x3000, 0x3029), (0x3041, 0x3096), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xFF01, 0xFFEE),
          (0x1D400, 0x1D454), (0x1F300, 0x1F5FF), (0x20000, 0x2A6D6))
WORDS = ("the", "Hello", "don't", "WE'LL", "I'VE", "y'all", "it'\u017f", "naïve", "3.14159",
         "1234567", "foo_bar()", "https://example.org/?q=1", "```python", "e\u0301", "\u200d", "🦙🚀",
         "👩‍👩‍👧", "Ⅷ", "½", "{{", "!!!", "...", "—", "\u2581", "<0x0A>", "<", ">")
SPACES = (" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\n \n", "\u00a0",
          "\u3000", "\x0b", "\x85", "\u2028", "        ")


def random_text(rng, specials, pieces=2000):
    out = ["A"]
    for _ in range(pieces):
        kind = rng.random()
        if kind < 0.35:
            out.append(rng.choice(WORDS))
        elif kind < 0.7:
            out.append(rng.choice(SPACES))
        elif kind < 0.72 and specials:
            out.append(rng.choice(specials))
        else:
            low, high = rng.choice(RANGES)
            out += [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6))]
    return "".join(out)


def missing(package):
    if importlib.util.find_spec(package):
        return False
    print(f"skipped: the Python package {package} is not installed")
    return True


def hugging_face(tokenizer):
    def encode(text, special):
        tokenizer.encode_special_tokens = not special
        return tokenizer.encode(text, add_special_tokens=False).ids

    added = tokenizer.get_added_tokens_decoder().values()
    return encode, [token.content for token in added], (False, True)


def original(directory, form):
    """(encode(text, special) -> ids, special tokens, values of `special`), or None if skipped."""
    path = directory / form[0]
    if form[0] == "tokenizer.json":
        if missing("tokenizers"):
            return None
        import tokenizers
        return hugging_face(tokenizers.Tokenizer.from_file(str(path)))
    if form[0] == "vocab.json":
        if missing("tokenizers"):
            return None
        import tokenizers
        model = tokenizers.models.BPE.from_file(str(path), str(directory / form[1]))
        tokenizer = tokenizers.Tokenizer(model)
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.add_special_tokens(["<|endoftext|>"])
        return hugging_face(tokenizer)
    data = path.read_bytes()
    first = data.split(b"\n", 1)[0].split(b" ")
    if len(first) == 2 and first[1].strip().isdigit():
        if missing("tiktoken"):
            return None
        import tiktoken
        ranks = {base64.b64decode(token): int(rank)
                 for token, rank in (line.split() for line in data.splitlines() if line)}
        encoding = tiktoken.Encoding("llama-3", pat_str=LLAMA3_PATTERN, mergeable_ranks=ranks,
                                     special_tokens={})
        return (lambda text, _: encoding.encode_ordinary(text)), ["<|eot_id|>"], (False,)
    if missing("sentencepiece"):
        return None
    import sentencepiece
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return (lambda text, _: processor.encode(text)), ["<s>", "</s>", "<unk>"], (False,)


def atom_ids(atom, directory, text, special):
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        file.write(text.encode())
        file.flush()
        command = [atom, "tokenize", str(directory), file.name] + ["--special"] * special
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return [int(word) for word in done.stdout.split()]


def compare(atom, directory, form, texts, seed):
    """The number of texts that differ, or None if there is nothing to compare with."""
    reference = original(directory, form)
    if reference is None:
        return None
    encode, specials, modes = reference
    differing = tokens = 0
    with tempfile.TemporaryDirectory() as alone:  # this form only: atom takes tokenizer.json first
        alone = pathlib.Path(alone)
        for name in form + ("tokenizer_config.json",):
            if (directory / name).exists():
                (alone / name).write_bytes((directory / name).read_bytes())
        rng = random.Random(seed)
        for number in range(texts):
            text = random_text(rng, specials)
            for special in modes:
                expected = encode(text, special)
                found = atom_ids(atom, alone, text, special)
                tokens += len(expected)
                if found == expected:
                    continue
                differing += 1
                at = next((i for i, (a, b) in enumerate(zip(expected, found)) if a != b),
                          min(len(expected), len(found)))
                print(f"  text {number}, special {special}, token {at}: expected "
                      f"{expected[at:at + 8]}, found {found[at:at + 8]}")
    print(f"{directory} {form[0]}: {texts} texts, {tokens} tokens, {differing} texts differ")
    return differing


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("directories", nargs="+", type=pathlib.Path)
    parser.add_argument("--atom", default="build/src/atom/atom")
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    differing = 0
    for directory in args.directories:
        for form in FORMS:
            if all((directory / name).exists() for name in form):
                differing += compare(args.atom, directory, form, args.texts, args.seed) or 0
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
