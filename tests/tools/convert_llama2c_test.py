"""Tests of tools/convert_llama2c.py against llama2.c's own arithmetic: pairs of neighbours, and the
tokenizer that merges by score.

Run: python3 -m unittest discover -s tests/tools -p "*_test.py"
"""

import contextlib
import io
import json
import pathlib
import struct
import sys
import tempfile
import unittest

try:
    import numpy as np
except ImportError as error:
    raise unittest.SkipTest("numpy is not installed (Debian: python3-numpy).") from error

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(pathlib.Path(__file__).parent)]

import convert_llama2c as tool  # noqa: E402
import numpy_llama  # noqa: E402

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, CONTEXT = 16, 24, 2, 4, 2, 12
WORDS = [" ", "a", "b", "c", "ab", " a", "bc", "abc", "\u00e9"]
VOCABULARY = 3 + 256 + len(WORDS)


def rotate_neighbours(x, angles):
    """llama2.c's RoPE: x[T][heads][d] rotated in the pairs (2i, 2i + 1)."""
    cos = np.cos(angles).astype(np.float32)[:, None]
    sin = np.sin(angles).astype(np.float32)[:, None]
    result = np.empty_like(x)
    result[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    result[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
    return result


def model_bytes(rng, tied):
    """A random version 0 file, and its tensors by name in llama2.c's order of the rows."""
    dim, kv = HIDDEN // HEADS, KV_HEADS * HIDDEN // HEADS
    stacked = {
        "embed": (VOCABULARY, HIDDEN),
        "att": (LAYERS, HIDDEN),
        "q": (LAYERS, HIDDEN, HIDDEN),
        "k": (LAYERS, kv, HIDDEN),
        "v": (LAYERS, kv, HIDDEN),
        "o": (LAYERS, HIDDEN, HIDDEN),
        "ffn": (LAYERS, HIDDEN),
        "w1": (LAYERS, INNER, HIDDEN),
        "w2": (LAYERS, HIDDEN, INNER),
        "w3": (LAYERS, INNER, HIDDEN),
        "final": (HIDDEN,),
    }
    values = {n: rng.standard_normal(s, np.float32) * np.float32(0.4) for n, s in stacked.items()}
    angles = np.outer(np.arange(CONTEXT), 10000.0 ** (-np.arange(0, dim, 2) / dim))
    parts = list(values.values()) + [np.cos(angles), np.sin(angles)]
    if not tied:
        values["head"] = rng.standard_normal((VOCABULARY, HIDDEN), np.float32)
        parts.append(values["head"])
    header = struct.pack(
        "<7i", HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, VOCABULARY if tied else -VOCABULARY, CONTEXT
    )
    return header + b"".join(p.astype("<f4").tobytes() for p in parts), values


def unpermuted(values):
    """The same tensors under the names that numpy_llama reads."""
    names = {
        "input_layernorm": "att",
        "self_attn.q_proj": "q",
        "self_attn.k_proj": "k",
        "self_attn.v_proj": "v",
        "self_attn.o_proj": "o",
        "post_attention_layernorm": "ffn",
        "mlp.gate_proj": "w1",
        "mlp.down_proj": "w2",
        "mlp.up_proj": "w3",
    }
    weights = {
        f"model.layers.{layer}.{name}.weight": values[short][layer]
        for layer in range(LAYERS)
        for name, short in names.items()
    }
    weights["model.embed_tokens.weight"] = values["embed"]
    weights["model.norm.weight"] = values["final"]
    if "head" in values:
        weights["lm_head.weight"] = values["head"]
    return weights


def tokenizer_bytes():
    pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n"] + [b"<0x%02X>" % b for b in range(256)]
    scored = [(0.0, p) for p in pieces] + [(-float(i), w.encode()) for i, w in enumerate(WORDS)]
    return struct.pack("<i", 9) + b"".join(struct.pack("<fi", s, len(p)) + p for s, p in scored)


def encode_by_score(text, pieces):
    """llama2.c: a space, characters or their bytes, then always the best pair, leftmost first."""
    ids = {piece: index for index, (_, piece) in reversed(list(enumerate(pieces)))}
    result = [ids[b" "]]
    for character in text:
        data = character.encode()
        result += [ids[data]] if data in ids else [3 + byte for byte in data]
    while True:
        best = None
        for i in range(len(result) - 1):
            joined = ids.get(pieces[result[i]][1] + pieces[result[i + 1]][1])
            if joined is not None and (best is None or pieces[joined][0] > best[0]):
                best = (pieces[joined][0], i, joined)
        if best is None:
            return result
        result[best[1] : best[1] + 2] = [best[2]]


def encode_by_rank(text, tokenizer):
    """The BPE of a tokenizer.json: the pair of the lowest rank, leftmost first."""
    vocabulary = tokenizer["model"]["vocab"]
    ranks = {tuple(pair): rank for rank, pair in enumerate(tokenizer["model"]["merges"])}
    parts = []
    for character in "\u2581" + text.replace(" ", "\u2581"):
        known = character in vocabulary
        parts += [character] if known else [f"<0x{byte:02X}>" for byte in character.encode()]
    while True:
        pairs = [(ranks[pair], i) for i, pair in enumerate(zip(parts, parts[1:])) if pair in ranks]
        if not pairs:
            return [vocabulary[part] for part in parts]
        _, i = min(pairs)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


class ConvertTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def convert(self, data, name="out", tokenizer=None):
        (self.folder / "model.bin").write_bytes(data)
        (self.folder / "tok.bin").write_bytes(tokenizer or tokenizer_bytes())
        errors, target = io.StringIO(), self.folder / name
        with contextlib.redirect_stderr(errors):
            code = tool.main(
                [str(self.folder / "model.bin"), str(self.folder / "tok.bin"), str(target)]
            )
        return code, errors.getvalue(), target

    def test_the_function_is_that_of_llama2c(self):
        for tied in (True, False):
            with self.subTest(tied=tied):
                data, values = model_bytes(np.random.default_rng(2), tied)
                code, message, target = self.convert(data, f"tied-{tied}")
                self.assertEqual((code, message), (0, ""))
                config, weights = numpy_llama.load(target)
                self.assertEqual(config["tie_word_embeddings"], tied)
                tokens = [1, 260, 5, 261, 262, 40, 41, 42, 43]
                found = numpy_llama.forward(config, weights, tokens)
                expected = numpy_llama.forward(
                    config, unpermuted(values), tokens, rotate_neighbours
                )
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
                wrong = numpy_llama.forward(config, unpermuted(values), tokens)
                self.assertGreater(np.abs(wrong - expected).max(), 1e-2)

    def test_the_tokenizer_merges_as_by_score(self):
        data, _ = model_bytes(np.random.default_rng(2), True)
        _, _, target = self.convert(data)
        tokenizer = json.loads((target / "tokenizer.json").read_text(encoding="utf-8"))
        pieces = tool.read_pieces(self.folder / "tok.bin", VOCABULARY)
        rng = np.random.default_rng(4)
        for _ in range(300):
            text = "".join(rng.choice(list("abc \u00e9\u6f22\n"), rng.integers(1, 30)))
            self.assertEqual(
                encode_by_rank(text, tokenizer), encode_by_score(text, pieces), repr(text)
            )

    def test_stories260k_is_what_the_tool_makes(self):
        source = ROOT.parent / "shared" / "data" / "stories260k"
        if not source.is_dir():
            self.skipTest("The original stories260K.bin is not beside this checkout.")
        target = self.folder / "stories260k"
        self.assertEqual(
            tool.main(
                [
                    str(source / "stories260K.bin"),
                    str(source / "stories260K-tok512.bin"),
                    str(target),
                ]
            ),
            0,
        )
        for path in target.iterdir():
            committed = ROOT / "models" / "stories260k" / path.name
            self.assertEqual(path.read_bytes(), committed.read_bytes(), path.name)

    def test_broken_files_are_refused_in_one_sentence(self):
        data, _ = model_bytes(np.random.default_rng(2), True)
        rope = bytearray(data)
        rope[-100:-96] = struct.pack("<f", 5.0)
        rope[-200:-196] = struct.pack("<f", 5.0)
        cases = [
            (data[:10], None, "header"),
            (data[:-4], None, "expected"),
            (struct.pack("<7i", 0, 1, 1, 1, 1, 1, 1), None, "header"),
            (bytes(rope), None, "RoPE"),
            (data, tokenizer_bytes()[:-1], "piece"),
            (data, tokenizer_bytes()[:2000], "piece"),
        ]
        for content, tokenizer, expected in cases:
            with self.subTest(expected=expected):
                code, message, target = self.convert(content, "broken", tokenizer)
                self.assertEqual(code, 1)
                self.assertIn(expected, message)
                self.assertEqual(message.count("\n"), 1)
                self.assertFalse(target.exists())


if __name__ == "__main__":
    unittest.main()
