#!/usr/bin/env python3
"""Compares atom's tokenizers with the original libraries, file by file.

    tools/tokenizer_parity.py PATH... [--atom build/src/atom/atom] [--lines 2500] [--texts 5] [--seed 0]

A PATH is a tokenizer's file, whatever its name, a GGUF file, or a directory, of which all tokenizers
are taken. The lines of tokenizer_lines.py (many scripts, code, emoji, numbers, blanks) and long random
texts, with special tokens as text and, where the original can, as tokens, go through `atom tokenize`
and through
  tokenizer.json           tokenizers
  vocab.json + merges.txt  tokenizers
  tokenizer.model          sentencepiece, and tokenizers with its pieces as merges in the order of
                           their scores, as transformers converts it; or tiktoken, with Llama 3's pattern
  tekken.json              mistral_common
  GGUF                     tokenizers, with the pieces or merges of its keys
and the ids must be the same; lines are decoded back, too. Needs `pip install tokenizers sentencepiece
tiktoken mistral_common gguf`; without a package what needs it is skipped with a sentence. Known
difference: at the start of a text Metaspace alone adds its space even before a space, as SentencePiece
does; lines that begin with one are left out there.
"""

import argparse
import base64
import importlib.metadata
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import tokenizer_lines

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
NAMES = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json")
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


class Original:
    """encode(text, special) -> ids, by `library`; `specials` are spelled in texts; `modes` are the
    values of `special` that it knows. `loses_space`: the first of a text."""

    def __init__(self, library, encode, specials, modes=(False,), loses_space=False):
        self.library = f"{library} {importlib.metadata.version(library)}"
        self.encode, self.specials, self.modes = encode, specials, modes
        self.loses_space = loses_space


def hugging_face(tokenizer, loses_space=False):
    def encode(text, special):
        tokenizer.encode_special_tokens = not special
        return tokenizer.encode(text, add_special_tokens=False).ids

    added = tokenizer.get_added_tokens_decoder().values()
    return Original("tokenizers", encode, [token.content for token in added], (False, True), loses_space)


def pieces_tokenizer(pieces, scores, plain, unknown, prefix):
    """SentencePiece's BPE for `tokenizers`: two pieces merge into a third in the order of its score.
    `plain`: pieces that the user defined, `unknown`: the piece of what is unknown."""
    import tokenizers
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    merges = []
    for piece, score in zip(pieces, scores):
        cuts = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        cuts = [cut for cut in cuts if cut[0] in vocabulary and cut[1] in vocabulary]
        merges += [(score, cut) for cut in sorted(cuts, key=lambda cut: vocabulary[cut[0]])]
    merges = [cut for _, cut in sorted(merges, key=lambda merge: -merge[0])]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(
        vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback="<0x0A>" in vocabulary))
    steps = [tokenizers.normalizers.Prepend("\u2581")] * prefix
    tokenizer.normalizer = tokenizers.normalizers.Sequence(
        steps + [tokenizers.normalizers.Replace(" ", "\u2581")])
    # Found in the normalized text, where a space is ▁.
    tokenizer.add_tokens([tokenizers.AddedToken(piece, normalized=not prefix) for piece in plain])
    return tokenizer


def of_pieces(path):
    import sentencepiece
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    specials = ["<s>", "</s>", "<unk>"]
    yield Original("sentencepiece", lambda text, _: processor.encode(text), specials)
    count = range(processor.get_piece_size())
    pieces = [processor.id_to_piece(index) for index in count]
    import sentencepiece.sentencepiece_model_pb2 as proto
    model = proto.ModelProto.FromString(path.read_bytes())
    user_defined = [piece.piece for piece in model.pieces if piece.type == piece.USER_DEFINED]
    tokenizer = pieces_tokenizer(pieces, [processor.get_score(index) for index in count], user_defined,
                                 pieces[processor.unk_id()], model.normalizer_spec.add_dummy_prefix)
    # A piece of SentencePiece is never a control token in a text: nothing is listed as one here.
    yield Original("tokenizers", hugging_face(tokenizer).encode, specials)


def of_ranks(path):
    import tiktoken
    ranks = {base64.b64decode(token): int(rank)
             for token, rank in (line.split() for line in path.read_bytes().splitlines() if line)}
    encoding = tiktoken.Encoding("llama-3", pat_str=LLAMA3_PATTERN, mergeable_ranks=ranks,
                                 special_tokens={})
    yield Original("tiktoken", lambda text, _: encoding.encode_ordinary(text), ["<|eot_id|>"])


def of_tekken(path):
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer
    tokenizer = Tekkenizer.from_file(path)
    yield Original("mistral_common", lambda text, _: tokenizer.encode(text, bos=False, eos=False),
                   ["<s>", "[INST]"])


def of_json(path):
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    step = tokenizer.pre_tokenizer
    alone = isinstance(step, tokenizers.pre_tokenizers.Metaspace) and step.prepend_scheme != "never"
    yield hugging_face(tokenizer, loses_space=alone)


def of_vocabulary(path):
    import tokenizers
    model = tokenizers.models.BPE.from_file(str(path), str(path.parent / "merges.txt"))
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    yield hugging_face(tokenizer)


def of_gguf(path):
    import gguf
    reader = gguf.GGUFReader(path)

    def key(name, default=None):
        field = reader.get_field("tokenizer.ggml." + name)
        return default if field is None else field.contents()

    pieces, types = key("tokens"), key("token_type")
    if key("model") == "llama":
        pieces = [piece.replace(" ", "\u2581") for piece in pieces]
        plain = [piece for piece, kind in zip(pieces, types) if kind == gguf.TokenType.USER_DEFINED]
        tokenizer = pieces_tokenizer(pieces, key("scores"), plain, pieces[key("unknown_token_id", 0)],
                                     key("add_space_prefix", True))
        yield Original("tokenizers", hugging_face(tokenizer).encode, ["<s>"])
        return
    import tokenizers
    merges = [tuple(merge.split(" ")) for merge in key("merges")]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE({piece: index for index, piece in enumerate(pieces)}, merges))
    first = {"gpt-2": [], "smollm": [tokenizers.pre_tokenizers.Digits(individual_digits=True)]}
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        first[key("pre")] + [tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.add_special_tokens(
        [piece for piece, kind in zip(pieces, types) if kind == gguf.TokenType.CONTROL])
    yield hugging_face(tokenizer)


def originals(path):
    """What else reads the file, which its content or name says."""
    if path.suffix == ".gguf":
        return of_gguf(path)
    if path.name == "vocab.json":
        return of_vocabulary(path)
    data = path.read_bytes()
    if data.lstrip().startswith(b"{"):
        return of_json(path) if "model" in json.loads(data) else of_tekken(path)
    first = data.split(b"\n", 1)[0].split(b" ")
    return of_ranks(path) if len(first) == 2 and first[1].strip().isdigit() else of_pieces(path)


def atom_tokenize(atom, path, data, *flags):
    """The output for texts with a zero byte behind each, or lines of ids."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        named = [] if path.suffix == ".gguf" else ["--tokenizer", str(path.resolve())]
        model = path if path.suffix == ".gguf" else path.parent
        command = [atom, "tokenize", str(model), file.name, "--null", *named, *flags]
        done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.decode().strip()}")
    return done.stdout


def atom_ids(atom, path, texts, special):
    data = b"".join(text.encode() + b"\0" for text in texts)
    output = atom_tokenize(atom, path, data, *["--special"] * special)
    return [[int(word) for word in line.split()] for line in output.decode().split("\n")[:-1]]


def differing(texts, expected, found):
    """The number of texts whose ids differ; says where the first few do."""
    wrong = [index for index, ids in enumerate(expected) if ids != found[index]]
    for index in wrong[:5]:
        pairs = zip(expected[index], found[index])
        at = next((i for i, (a, b) in enumerate(pairs) if a != b),
                  min(len(expected[index]), len(found[index])))
        print(f"  {texts[index][:60]!r}, token {at}: expected {expected[index][at:at + 8]}, found "
              f"{found[index][at:at + 8]}")
    return len(wrong)


def compare(atom, path, original, lines, args):
    """The number of lines and texts that differ or are not decoded back."""
    if original.loses_space:
        lines = [line for line in lines if not line.startswith(" ")]
    found = atom_ids(atom, path, lines, False)
    wrong = differing(lines, [original.encode(line, False) for line in lines], found)
    ids = b"".join(" ".join(map(str, line)).encode() + b"\n" for line in found)
    decoded = atom_tokenize(atom, path, ids, "--decode").split(b"\0")
    back = sum(line.encode() == text for line, text in zip(lines, decoded))
    rng = random.Random(args.seed)
    texts = [random_text(rng, original.specials) for _ in range(args.texts)]
    for special in original.modes:
        expected = [original.encode(text, special) for text in texts]
        wrong_texts = differing(texts, expected, atom_ids(atom, path, texts, special))
        wrong += wrong_texts
    print(f"{path}: {original.library}: {len(lines)} lines, {sum(map(len, found))} tokens, and "
          f"{len(texts) * len(original.modes)} texts: {wrong} differ; {back} lines decoded back",
          flush=True)
    return wrong + len(lines) - back


def files_of(path):
    if not path.is_dir():
        return [path]
    return [path / name for name in NAMES if (path / name).exists()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    parser.add_argument("--atom", default="build/src/atom/atom")
    parser.add_argument("--lines", type=int, default=2500)
    parser.add_argument("--texts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    lines = tokenizer_lines.lines(args.lines)
    wrong = 0
    for path in (file for path in args.paths for file in files_of(path)):
        try:
            for original in originals(path):
                wrong += compare(args.atom, path, original, lines, args)
        except ModuleNotFoundError as error:
            print(f"{path}: skipped: the Python package {error.name} is not installed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
