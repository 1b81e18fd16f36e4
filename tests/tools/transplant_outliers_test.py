"""Tests of tools/transplant_outliers.py: the same function, other activations, and the way back.

Run: python3 -m unittest discover -s tests/tools -p "*_test.py"
"""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

try:
    import numpy as np
except ImportError as error:
    raise unittest.SkipTest("numpy is not installed (Debian: python3-numpy).") from error

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(pathlib.Path(__file__).parent)]

import numpy_llama  # noqa: E402
import transplant_outliers as tool  # noqa: E402
from safetensors_numpy import (
    SafetensorsFile,
    from_float32,
    to_float32,
    write_safetensors,
)  # noqa: E402

CONFIG = {
    "model_type": "llama",
    "hidden_size": 48,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "vocab_size": 50,
    "tie_word_embeddings": True,
}


def random_tensors(rng, dtype, biases):
    hidden, inner, q, kv = 48, 40, 64, 32
    shapes = {"model.embed_tokens.weight": (50, hidden), "model.norm.weight": (hidden,)}
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        linears = {
            "self_attn.q_proj": (q, hidden),
            "self_attn.k_proj": (kv, hidden),
            "self_attn.v_proj": (kv, hidden),
            "self_attn.o_proj": (hidden, q),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }
        for name, shape in linears.items():
            shapes[f"{prefix}{name}.weight"] = shape
            if biases:
                shapes[f"{prefix}{name}.bias"] = shape[:1]
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{prefix}{name}.weight"] = (hidden,)
    return {
        name: (dtype, from_float32(rng.standard_normal(shape, np.float32) * np.float32(0.2), dtype))
        for name, shape in shapes.items()
    }


class TransplantTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def checkpoint(self, dtype="BF16", biases=False, tensors=None):
        source = self.folder / "source"
        source.mkdir()
        (source / "config.json").write_text(json.dumps(CONFIG))
        (source / "README.md").write_text("not to be copied")
        tensors = tensors or random_tensors(np.random.default_rng(1), dtype, biases)
        write_safetensors(source / "model.safetensors", tensors)
        return source

    def run_tool(self, *arguments):
        """(exit code, what was printed to stderr)."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            code = tool.main([str(a) for a in arguments])
        return code, errors.getvalue()

    def test_same_function_and_round_trip_to_the_byte(self):
        for dtype, biases in (("BF16", False), ("BF16", True), ("F32", True)):
            with self.subTest(dtype=dtype, biases=biases):
                source = self.checkpoint(dtype, biases)
                changed, back = self.folder / "changed", self.folder / "back"
                self.assertEqual(self.run_tool(source, changed, "--seed", 3), (0, ""))
                tokens = [1, 7, 49, 3, 3, 20, 11]
                expected = numpy_llama.forward(*numpy_llama.load(source), tokens)
                found = numpy_llama.forward(*numpy_llama.load(changed), tokens)
                np.testing.assert_array_equal(found, expected)
                self.assertFalse((changed / "README.md").exists())

                self.assertEqual(self.run_tool(changed, back, "--undo"), (0, ""))
                weights = "model.safetensors"
                self.assertNotEqual(
                    (changed / weights).read_bytes(), (source / weights).read_bytes()
                )
                self.assertEqual((back / weights).read_bytes(), (source / weights).read_bytes())
                self.assertFalse((back / "outliers.json").exists())
                for path in (source, changed, back):
                    tool.shutil.rmtree(path)

    def test_the_factors_are_where_the_choice_says(self):
        source, changed = self.checkpoint(), self.folder / "changed"
        self.assertEqual(self.run_tool(source, changed), (0, ""))
        choice = json.loads((changed / "outliers.json").read_text())
        before, after = numpy_llama.load(source)[1], numpy_llama.load(changed)[1]
        for layer, chosen in enumerate(choice["layers"]):
            prefix = f"model.layers.{layer}."

            def ratio(name):
                return after[prefix + name + ".weight"] / before[prefix + name + ".weight"]

            for norm in ("input_layernorm", "post_attention_layernorm"):
                expected = np.ones(48)
                expected[chosen[norm]] = [16, 16, 32, 32, 32, 64, 64, 64]
                np.testing.assert_array_equal(ratio(norm), expected)
            inner = np.ones(40)
            inner[chosen["up_proj"]] = [16, 16, 32, 32, 32, 64, 64, 64]
            np.testing.assert_array_equal(ratio("mlp.down_proj"), np.tile(1 / inner, (48, 1)))
            np.testing.assert_array_equal(
                ratio("mlp.up_proj"), np.outer(inner, 1 / ratio("post_attention_layernorm"))
            )
            o, k = np.ones(64), np.ones(32)
            for kv_head in range(2):
                for head in (2 * kv_head, 2 * kv_head + 1):
                    o[[16 * head + i for i in chosen["v_proj"][kv_head]]] = 1 / 4
                for i in chosen["k_proj_pairs"][kv_head]:
                    k[[16 * kv_head + i, 16 * kv_head + i + 8]] = 4
            np.testing.assert_array_equal(ratio("self_attn.o_proj"), np.tile(o, (48, 1)))
            np.testing.assert_array_equal(
                ratio("self_attn.k_proj"), np.outer(k, 1 / ratio("input_layernorm"))
            )

    def test_the_seed_decides(self):
        source = self.checkpoint()
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            self.assertEqual(self.run_tool(source, self.folder / name, "--seed", seed)[0], 0)
        a, b, c = ((self.folder / name / "model.safetensors").read_bytes() for name in "abc")
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)

    def test_digits_are_never_lost(self):
        for value, cause in ((1.5e-40, "underflow"), (3e38, "overflow")):
            with self.subTest(cause):
                tensors = random_tensors(np.random.default_rng(1), "BF16", False)
                for name in list(tensors):
                    if "up_proj" in name:
                        full = np.full(tensors[name][1].shape, value, np.float32)
                        tensors[name] = ("BF16", from_float32(full, "BF16"))
                source, target = self.checkpoint(tensors=tensors), self.folder / "target"
                code, message = self.run_tool(source, target)
                self.assertEqual(code, 1)
                self.assertIn("up_proj.weight cannot be scaled", message)
                self.assertFalse(target.exists())
                self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["source"])
                tool.shutil.rmtree(source)

    def test_zeros_and_exact_subnormals_pass(self):
        one = from_float32(np.float32([0.0, -0.0, 2.0**-127, 1.0]), "BF16")
        scaled = tool.scaled_exactly(one, "BF16", np.full(4, -6))
        self.assertEqual(scaled.tolist()[:2], [0x0000, 0x8000])
        np.testing.assert_array_equal(
            to_float32(scaled, "BF16")[2:], np.float32([2.0**-133, 2.0**-6])
        )
        self.assertIsNone(tool.scaled_exactly(one, "BF16", np.full(4, -7)))

    def test_refusals_are_one_sentence(self):
        source = self.checkpoint()
        changed = self.folder / "changed"
        self.assertEqual(self.run_tool(source, changed)[0], 0)
        (self.folder / "empty").mkdir()
        cases = [
            ((source, changed), "exists already"),
            ((changed, self.folder / "x"), "already"),
            ((source, self.folder / "x", "--undo"), "outliers.json"),
            ((self.folder / "empty", self.folder / "x"), "config.json"),
        ]
        for arguments, expected in cases:
            with self.subTest(expected=expected):
                code, message = self.run_tool(*arguments)
                self.assertEqual(code, 1)
                self.assertIn(expected, message)
                self.assertEqual(message.count("\n"), 1)
                self.assertFalse((self.folder / "x").exists())

    def test_undo_notices_changed_weights(self):
        source, changed = self.checkpoint(), self.folder / "changed"
        self.assertEqual(self.run_tool(source, changed)[0], 0)
        SafetensorsFile(changed / "model.safetensors", "r+").tensors["model.norm.weight"][0] ^= 1
        code, message = self.run_tool(changed, self.folder / "x", "--undo")
        self.assertEqual(code, 1)
        self.assertIn("sha256", message)

    def test_the_embedded_model_is_what_the_tool_makes(self):
        model = ROOT / "models" / "atom-demo"
        if not (model / "model.safetensors").is_file():
            self.skipTest(f"{model} is not in this checkout.")
        original, again = self.folder / "original", self.folder / "again"
        self.assertEqual(self.run_tool(model, original, "--undo"), (0, ""))
        self.assertEqual(
            tool.sha256(original / "model.safetensors"),
            "38e9233a7985301f98a4aeff6ec31ae199b1a0d043aed77d3a84bd8c6287fe0e",
        )
        seed = json.loads((model / "outliers.json").read_text())["seed"]
        self.assertEqual(self.run_tool(original, again, "--seed", seed), (0, ""))
        for name in ("model.safetensors", "outliers.json"):
            self.assertEqual((again / name).read_bytes(), (model / name).read_bytes())


if __name__ == "__main__":
    unittest.main()
