#!/usr/bin/env python3
"""Makes tests/golden/tokenizer: what Hugging Face's tokenizers cut texts into.

    python3 -m venv DIR && DIR/bin/pip install tokenizers==0.23.3
    DIR/bin/python tools/make_tokenizer_golden.py

pre_tokenizers.json has `texts`, and for each of `steps` (as a tokenizer.json says it) the words of each
text, one list a text. normalizers.json has the same `texts` and, for each of its `steps`, what becomes
of each.
"""

import json
import pathlib
import random

import tokenizers

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/tokenizer"
TEXTS = (
    "", " ", "a", "  Hello,  world!  ", "don't we'LL  it's 'tis", "x1234 5.6e-7, 12\u00bd \u0663\u2167",
    "line\n\n  next\r\n\tend \n", "\u00a0a\u3000b\u2028c\x85d", "naïve e\u0301\u0300 Ünïcode ﬁ",
    "Привет, мир! Ещё-раз…", "你好，世界。漢字とカタカナ、ひらがな", "한국어 텍스트 12개", "नमस्ते दुनिया १२३",
    "مرحبا بالعالم ٣٤", "שלום עולם", "สวัสดีชาวโลก", "👩‍👩‍👧 🦙🚀!", "a_b-c+d=e$f^g`h|i~j<k>l",
    "«quotes» “double” ‘single’ – — ¿¡", "HTTPServer2Request camelCase ABC", "aaa--b--  --", "\u2581a\u2581 b",
    "\u166d\u2e43\u061d\u09fd\U000111c9", "(a]b[c{d}e\\f/g")
# Blocks that were full before any Unicode version in question.
RANGES = ((0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x373), (0x400, 0x4FF), (0x5D0, 0x5EA),
          (0x620, 0x669), (0x904, 0x939), (0xE01, 0xE30), (0x2010, 0x2027), (0x2150, 0x2188),
          (0x3001, 0x3029), (0x3041, 0x3096), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x300, 0x34E))
BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
# Cased words, as GPT-4o has them, and with Han apart, by an intersection of classes.
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}{1,3}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
HAN = r"[\p{Han}]+|[\p{L}\p{M}&&[^\p{Han}]]+|\p{N}|[^\s\p{L}\p{N}\p{M}]+|\s+"
# Possessive quantifiers, lookbehinds, stacked quantifiers, properties, options, comments, recursion,
# an expression that matches nothing, and one that means braces and brackets by themselves.
EXPRESSIONS = (
    r"[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"(?<=\p{Ll})(?=\p{Lu})|(?<!\s)\s", r"(?:a{1,2}+b?|\p{P}+?)-?", r"(?i)HELLO|ss(?-i:B)", r"\h+|\S{2,3}\s??",
    r"(?#all (of\) it)[[:punct:]]+|[[:alpha:]_-]+", r"\((?:[^()\]]|\g<0>)*[\])]|{|\[", r"x*", r"^|$", r"(?m:.)",
    r"\X", r"(\w)(?<rest>\w*)", r"[\u0041-\u005A\x{61}-\x{7a}]+", r"\d{,2}[.,]", r"\p{^L}{2,}", r"(?>a+)b|\Bb",
    r"[一-龥\p{Hiragana}]+|\p{Katakana}+", r"\bb|e\b")


def random_text(rng):
    out = []
    for _ in range(rng.randint(5, 15)):
        low, high = rng.choice(RANGES)
        out += [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 4))]
        out.append(rng.choice((" ", " ", "", "  ", "\n")))
    return "".join(out)


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def steps():
    for behavior in BEHAVIORS:
        for invert in (False, True):
            yield split({"String": "--"}, behavior, invert)
            yield split({"Regex": r"\s|\p{Lu}|-*"}, behavior, invert)
        yield split({"Regex": GPT2}, behavior, True)
        yield {"type": "Punctuation", "behavior": behavior}
    for expression in (GPT2, LLAMA3, CASED, HAN) + EXPRESSIONS:
        yield split({"Regex": expression})
    yield split({"String": " "})
    yield split({"String": ".*("}, "Removed")
    yield {"type": "Digits", "individual_digits": True}
    yield {"type": "Digits", "individual_digits": False}
    yield {"type": "Whitespace"}
    yield {"type": "WhitespaceSplit"}
    yield {"type": "CharDelimiterSplit", "delimiter": "é"}
    yield {"type": "CharDelimiterSplit", "delimiter": "a"}
    yield {"type": "UnicodeScripts"}
    for add_prefix_space in (False, True):
        for use_regex in (False, True):
            yield {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True,
                   "use_regex": use_regex}
    for scheme in ("always", "first", "never"):
        for cut in (False, True):
            yield {"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": False},
                {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": cut}]}
    yield {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, split({"Regex": LLAMA3}),
        {"type": "Punctuation", "behavior": "Contiguous"}]}
    yield {"type": "Sequence", "pretokenizers": []}


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def normalizers():
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"):
        yield {"type": form}
    for left, right in ((True, True), (True, False), (False, True), (False, False)):
        yield {"type": "Strip", "strip_left": left, "strip_right": right}
    yield {"type": "Prepend", "prepend": "\u2581"}
    yield replace({"String": " "}, "\u2581")
    yield replace({"String": "--"}, "")
    yield replace({"Regex": r"\s{2,}|\p{P}"}, "$1\\1")
    yield replace({"Regex": "x*"}, "-")
    yield replace({"Regex": r"(?<=\d)(?=\d)|^|$"}, "|")
    yield {"type": "Sequence", "normalizers": [
        {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, replace({"String": "a"}, "aa"),
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Prepend", "prepend": ">"}]}
    yield {"type": "Sequence", "normalizers": []}


def carry(kind, step):
    carrier = json.loads(tokenizers.Tokenizer(tokenizers.models.BPE()).to_str())
    carrier[kind] = step
    return getattr(tokenizers.Tokenizer.from_str(json.dumps(carrier)), kind)


def write(name, texts, cases):
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / name, "w", encoding="utf-8") as file:
        file.write(f'{{"tokenizers": "{tokenizers.__version__}",\n'
                   f'"texts": {json.dumps(texts, ensure_ascii=False)},\n"cases": [\n{lines}]}}\n')


def main():
    rng = random.Random(1)
    texts = list(TEXTS) + [random_text(rng) for _ in range(8)]
    cases = []
    for step in steps():
        cutter = carry("pre_tokenizer", step)
        words = [[word for word, _ in cutter.pre_tokenize_str(text) if word] for text in texts]
        if step["type"] == "UnicodeScripts":  # its table is older than these characters
            words = [None if "\U000111c9" in text else found for text, found in zip(texts, words)]
        cases.append({"step": step, "words": words})
    write("pre_tokenizers.json", texts, cases)

    # Their normalizers have the marks of Unicode 9, where U+111C9 was none.
    texts = [text for text in texts if "\U000111c9" not in text]
    texts += ["ΑΣ İI ǅ ẞß Ⅷ ſ", "ﷺ ﬃ ① ｶﾞ ½", "e\u0323\u0301 e\u0301\u0323 \u1e69",
              "\ud55c \u1112\u1161\u11ab", "\u212b\u0344\u0958"]
    cases = []
    for step in normalizers():
        normalizer = carry("normalizer", step)
        cases.append({"step": step, "normalized": [normalizer.normalize_str(t) for t in texts]})
    write("normalizers.json", texts, cases)


if __name__ == "__main__":
    main()
