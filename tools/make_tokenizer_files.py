#!/usr/bin/env python3
"""Makes tokenizer.json files and the ids that Hugging Face's tokenizers give with each:
tests/golden/tokenizer/random.json, 200 files put together at random, and published.json, the steps of
published tokenizers around small vocabularies that are trained here.

    python3 -m venv DIR && DIR/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.1
    DIR/bin/python tools/make_tokenizer_files.py [--seed 1] [--files 200] [--out FOLDER]

`models`: the trained models. `cases`: a tokenizer.json whose "model" names one of those and what is
changed in it, and `digests`, one number a text: FNV-1a of its ids as 32-bit words, without special
tokens, the low 32 bits; the last is of the first text with special tokens. null where a known difference
applies (a text that begins with a space, where a Metaspace with a prefix is the only step). Two others
are kept out: added tokens that are special and that the model knows, too, and a Metaspace of the "first"
scheme behind another step and a normalizer that lengthens the first character, of which theirs takes
several words for the first.
"""

import argparse
import base64
import copy
import io
import json
import pathlib
import random
import tempfile

import sentencepiece
import tokenizers

from make_tokenizer_golden import BEHAVIORS, CASED, EXPRESSIONS, GPT2, HAN, LLAMA3, replace, split
from tokenizer_lines import SENTENCES, lines

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPECIALS = ("<unk>", "<s>", "</s>")
TEXTS = 60
SAFE = [e for e in EXPRESSIONS if e not in (r"x*", r"^|$")]  # those find nothing but gaps


def digest(ids):
    value = 0xCBF29CE484222325
    for byte in b"".join(i.to_bytes(4, "little") for i in ids):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value % 2**32


def corpus():
    text = (ROOT / "data/wikitext2/wiki.test.raw").read_text(encoding="utf-8")
    return [line for line in text.splitlines()[:400] if line] + list(SENTENCES) * 3


def train(kind, size):
    trainer = tokenizers.trainers.BpeTrainer
    if kind == "bytes":
        model = tokenizers.Tokenizer(tokenizers.models.BPE())
        model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        model.train_from_iterator(corpus(), trainer(
            vocab_size=size, special_tokens=list(SPECIALS), show_progress=False,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    else:
        model = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
        model.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="always")
        model.train_from_iterator(corpus(), trainer(
            vocab_size=size, special_tokens=list(SPECIALS), show_progress=False, limit_alphabet=300))
    model = json.loads(model.to_str())["model"]
    if kind == "characters":
        for byte in range(256):
            model["vocab"].setdefault(f"<0x{byte:02X}>", len(model["vocab"]))
    for field in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        model[field] = None
    return model


def train_unigram(byte_tokens):
    model = tokenizers.Tokenizer(tokenizers.models.Unigram())
    model.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="always")
    model.train_from_iterator(corpus(), tokenizers.trainers.UnigramTrainer(
        vocab_size=700, special_tokens=list(SPECIALS), unk_token="<unk>", show_progress=False))
    model = json.loads(model.to_str())["model"]
    known = {piece for piece, _ in model["vocab"]}
    model["vocab"] += [[f"<0x{byte:02X}>", 0.0] for byte in range(256) if byte_tokens]
    # A token of two characters that are none themselves.
    model["vocab"] += [[piece, -20.0] for piece in ("漢字", "字も") if piece not in known]
    return model


# A few rules of the kinds that SentencePiece's own tables have: widths, ligatures, composition,
# numbers in circles, what vanishes, kinds of blanks; and one that is the beginning of another.
RULES = (
    [(f"{0xFF21 + i:X}", f"{0x41 + i:X}") for i in range(26)] + [(f"{0x2460 + i:X}", f"{0x31 + i:X}") for i in range(9)] +
    [("FB01", "66 69"), ("65 301", "E9"), ("200B", ""), ("3000", "20"), ("9", "20"), ("D A", "A"), ("BD", "31 2044 32"),
     ("61 308", "E4"), ("1F600", "3A 29"), ("63", "C7"), ("2026", "2E 2E 2E"), ("F", "")])


def message_field(message, number):
    """The last field of this number and of wire type 2 in a protobuf message."""
    found = None
    pos = 0

    def varint():
        nonlocal pos
        value, shift = 0, 0
        while True:
            byte = message[pos]
            pos += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while pos < len(message):
        tag = varint()
        if tag & 7 == 0:
            varint()
            continue
        size = {1: 8, 5: 4}[tag & 7] if tag & 7 != 2 else varint()
        if tag == number << 3 | 2:
            found = message[pos:pos + size]
        pos += size
    return found


def charsmap():
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("".join(f"{source}\t{target}\n" for source, target in RULES))
        rules.flush()
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a b c"] * 3), model_writer=model, vocab_size=8, hard_vocab_limit=False,
            normalization_rule_tsv=rules.name, minloglevel=2)
    normalizer_spec = message_field(model.getvalue(), 3)
    return base64.b64encode(message_field(normalizer_spec, 2)).decode()


CHARSMAP = charsmap()


# ---- one file at random

def random_cut(rng):
    kind = rng.randrange(9)
    if kind < 3:
        expression = rng.choice((GPT2, LLAMA3, CASED, HAN) + tuple(SAFE))
        return split({"Regex": expression}, rng.choice(BEHAVIORS) if rng.random() < 0.4 else "Isolated",
                     rng.random() < 0.2)
    if kind == 3:
        return split({"String": rng.choice((" ", "--", "a", "\u2581", "\n"))}, rng.choice(BEHAVIORS),
                     rng.random() < 0.2)
    return rng.choice((
        {"type": "Digits", "individual_digits": rng.random() < 0.5},
        {"type": "Punctuation", "behavior": rng.choice(BEHAVIORS)},
        {"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "UnicodeScripts"},
        {"type": "CharDelimiterSplit", "delimiter": rng.choice("eé1")}))


def random_metaspace(rng):
    return {"type": "Metaspace", "replacement": "\u2581" if rng.random() < 0.9 else "_",
            "prepend_scheme": rng.choice(("always", "first", "never")), "split": rng.random() < 0.5}


def random_byte_level(rng):
    return {"type": "ByteLevel", "add_prefix_space": rng.random() < 0.4, "trim_offsets": True,
            "use_regex": rng.random() < 0.5}


def sequence(rng, name, steps):
    if not steps:
        return None
    if len(steps) == 1 and rng.random() < 0.7:
        return steps[0]
    return {"type": "Sequence", name: steps}


def random_pre_tokenizer(rng, bytes_wanted):
    steps = [random_cut(rng) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    if bytes_wanted:
        steps.insert(len(steps) if rng.random() < 0.8 else 0, random_byte_level(rng))
    elif rng.random() < 0.6:
        steps.insert(rng.randint(0, len(steps)), random_metaspace(rng))
    return sequence(rng, "pretokenizers", steps)


def random_normalizer(rng, spaces):
    steps = []
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        steps.append(rng.choice((
            {"type": rng.choice(("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"))},
            {"type": "Strip", "strip_left": rng.random() < 0.5, "strip_right": rng.random() < 0.5},
            {"type": "Precompiled", "precompiled_charsmap": CHARSMAP},
            replace({"String": rng.choice(("e", "--", "  "))}, rng.choice(("", "x", "\u2581", "ab"))),
            replace({"Regex": rng.choice((r"\s+", r"\p{P}", r"(?<=\d)(?=\d)", r"[A-Z]"))},
                    rng.choice((" ", "", "~"))))))
    if spaces:
        if rng.random() < 0.5:
            steps.append({"type": "Prepend", "prepend": "\u2581"})
        steps.append(replace({"String": " "}, "\u2581"))
    return sequence(rng, "normalizers", steps)


def random_added(rng, vocabulary):
    added = specials(vocabulary)
    names = rng.sample(("fox", "  ", "<x>", "don", "1", "漢", "[A]", "\n\n", "Über"), rng.randint(0, 4))
    for name in names:
        flag = lambda: rng.random() < 0.25
        added.append({"id": vocabulary.get(name, len(vocabulary) + sum(a["id"] >= len(vocabulary) for a in added)),
                      "content": name, "single_word": flag(), "lstrip": flag(), "rstrip": flag(),
                      "normalized": flag(), "special": flag() and name not in vocabulary})
    return added


def random_post_processor(rng, vocabulary):
    template = {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}] * rng.randint(0, 2) +
                          [{"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [vocabulary["<s>"]], "tokens": ["<s>"]}}}
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    return rng.choice((None, template, byte_level, {"type": "Sequence", "processors": [byte_level, template]}))


def random_change(rng, name):
    return {"fuse_unk": rng.random() < 0.5, "ignore_merges": rng.random() < 0.3,
            "byte_fallback": name == "characters" and rng.random() < 0.6,
            "unk_token": "<unk>" if rng.random() < 0.7 else None}


def random_file(rng, models):
    name = rng.choice(sorted(models))
    model = models[name]
    bytes_wanted = name == "bytes" and rng.random() < 0.95
    spaces = name != "bytes" and rng.random() < 0.3
    if name.startswith("unigram"):
        vocabulary = {piece: i for i, (piece, _) in enumerate(model["vocab"])}
        change = {"byte_fallback": name == "unigram-bytes" and rng.random() < 0.7}
    else:
        vocabulary = model["vocab"]
        change = random_change(rng, name)
    pre_tokenizer = random_pre_tokenizer(rng, bytes_wanted) if not spaces or rng.random() < 0.5 else None
    normalizer = random_normalizer(rng, spaces)
    if '"first"' in json.dumps(pre_tokenizer) and pre_tokenizer["type"] == "Sequence":
        normalizer = rng.choice((None, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True,
                                                               "strip_right": False}))
    return {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
            "post_processor": random_post_processor(rng, vocabulary),
            "added_tokens": random_added(rng, vocabulary), "model": {"of": name, "change": change}}


def whole(file, models):
    file = copy.deepcopy(file)
    model = copy.deepcopy(models[file["model"]["of"]])
    model.update(file["model"]["change"])
    return {"version": "1.0", "truncation": None, "padding": None, "decoder": None, **file, "model": model}


def keeps_first_space(file):
    step = file["pre_tokenizer"]
    while step and step["type"] == "Sequence" and len(step["pretokenizers"]) == 1:
        step = step["pretokenizers"][0]
    return bool(step) and step["type"] == "Metaspace" and step["prepend_scheme"] != "never"


def digests(file, models, texts):
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(whole(file, models)))
    found = []
    for text in texts:
        normalized = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        skip = keeps_first_space(file) and (normalized[:1] in (" ", "\u2581", "_") or text[:1] == " ")
        found.append(None if skip else digest(tokenizer.encode(text, add_special_tokens=False).ids))
    return found + [digest(tokenizer.encode(texts[0]).ids)]


# ---- published tokenizers

# Many of them decompose into others: written as numbers.
DEEPSEEK_LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿ\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-ҁҊ-ԯԱ-Ֆ"
    "Ⴀ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec"
    "\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134"
    "ℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃")
DEEPSEEK_V3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
               r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = CASED.replace("(?i:'s|'t|'re|'ve)?", "").replace(r"\p{N}{1,3}", r"\p{N}")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def byte_level(use_regex=False, add_prefix_space=False):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True, "use_regex": use_regex}


def steps_of(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def regexes(*expressions):
    return [split({"Regex": expression}) for expression in expressions]


def digits(individual):
    return {"type": "Digits", "individual_digits": individual}


def published():
    """Name, normalizer, pre-tokenizer, model and its changes."""
    nfc = {"type": "NFC"}
    to_metaspace = replace({"String": " "}, "\u2581")
    fallback = {"byte_fallback": True, "fuse_unk": True}
    yield "GPT-2", None, byte_level(True), "large-bytes", {}
    yield "Llama 3", None, steps_of(*regexes(LLAMA3), byte_level()), "large-bytes", {"ignore_merges": True}
    yield "Qwen2", nfc, steps_of(*regexes(QWEN2), byte_level()), "large-bytes", {}
    yield "SmolLM2", None, steps_of(digits(True), byte_level(True)), "large-bytes", {}
    yield "Mistral tekken", None, steps_of(*regexes(TEKKEN), byte_level()), "large-bytes", {"ignore_merges": True}
    yield "GPT-4o", None, steps_of(*regexes(GPT4O), byte_level()), "large-bytes", {}
    yield "DeepSeek LLM", None, steps_of(
        *regexes("[\r\n]", r"\s?[" + DEEPSEEK_LETTERS + "]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$",
                 "[一-龥ࠀ-一가-퟿]+"), digits(True), byte_level()), "large-bytes", {}
    yield "DeepSeek Coder", None, steps_of(
        *regexes("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"), digits(True),
        byte_level()), "large-bytes", {}
    yield "DeepSeek V3", None, steps_of(
        *regexes(r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK_V3), byte_level()), "large-bytes", {}
    yield "Falcon", None, steps_of(
        {"type": "Punctuation", "behavior": "Contiguous"}, byte_level(True), digits(False),
        *regexes("[0-9][0-9][0-9]")), "large-bytes", {}
    yield "Phi-3, Llama 2", {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, to_metaspace]}, \
        None, "characters", fallback
    yield "Mistral v3", None, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first",
                               "split": False}, "characters", fallback
    yield "Gemma 3", to_metaspace, split({"String": " "}, "MergedWithPrevious"), "characters", fallback


def specials(vocabulary):
    return [{"id": vocabulary[name], "content": name, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True} for name in SPECIALS]


def published_file(case, models):
    _, normalizer, pre_tokenizer, model, change = case
    return {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": None,
            "added_tokens": specials(models[model]["vocab"]), "model": {"of": model, "change": change}}


def write(path, models, texts, rows):
    with open(path, "w", encoding="utf-8") as out:
        out.write(f'{{"tokenizers": "{tokenizers.__version__}",\n"models": {json.dumps(models, ensure_ascii=False)},\n'
                  f'"texts": {json.dumps(texts, ensure_ascii=False)},\n"cases": [\n' + ",\n".join(
                      json.dumps(row, ensure_ascii=False) for row in rows) + "]}\n")


def random_rows(rng, models, texts, files):
    rows = []
    while len(rows) < files:
        file = random_file(rng, models)
        try:
            rows.append({"file": file, "digests": digests(file, models, texts)})
        except BaseException as error:  # theirs panics on some overlaps of added tokens
            if type(error).__name__ != "PanicException":
                raise
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden/tokenizer")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    models = {kind: train(kind, 700) for kind in ("bytes", "characters", "unknown")}
    models.update({"unigram": train_unigram(False), "unigram-bytes": train_unigram(True)})
    texts = list(SENTENCES) + rng.sample(lines(2000), TEXTS - len(SENTENCES))
    write(args.out / "random.json", models, texts, random_rows(rng, models, texts, args.files))

    models = {"large-bytes": train("bytes", 2000), "characters": train("characters", 1500)}
    texts = lines(2000)
    files = {case[0]: published_file(case, models) for case in published()}
    write(args.out / "published.json", models, texts,
          [{"name": name, "file": file, "digests": digests(file, models, texts)} for name, file in files.items()])


if __name__ == "__main__":
    main()
