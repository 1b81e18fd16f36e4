"""tools/random_gguf.py writes files of the shapes, types and sizes that it says."""

import importlib.util
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

GEOMETRY = (256, 512, 8, 4, 2, 300)  # hidden, inner, layers, heads, KV heads, vocabulary


@unittest.skipUnless(importlib.util.find_spec("gguf"), "the Python package gguf is not installed")
class RandomGgufTest(unittest.TestCase):
    def read(self, file_type, layers=0):
        import gguf
        import random_gguf

        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "model.gguf"
        random_gguf.write(path, GEOMETRY, file_type, layers)
        return gguf.GGUFReader(path)

    def test_keys_and_shapes(self):
        reader = self.read("Q4_0", layers=2)
        keys = {name: reader.fields[name].contents() for name in reader.fields}
        self.assertEqual(keys["llama.block_count"], 2)
        self.assertEqual(keys["llama.attention.head_count_kv"], 2)
        self.assertEqual(keys["llama.rope.dimension_count"], 64)
        self.assertEqual(len(keys["tokenizer.ggml.tokens"]), 300)
        self.assertEqual(len(set(keys["tokenizer.ggml.tokens"])), 300)
        self.assertEqual(keys["tokenizer.ggml.tokens"][3 + ord("\n")], "<0x0A>")
        shapes = {t.name: [int(n) for n in t.shape][::-1] for t in reader.tensors}
        self.assertEqual(len(shapes), 2 * 9 + 3)
        self.assertEqual(shapes["blk.1.attn_v.weight"], [128, 256])
        self.assertEqual(shapes["blk.0.ffn_down.weight"], [256, 512])
        self.assertEqual(shapes["output.weight"], [300, 256])

    def test_weights_have_the_deviation_of_a_trained_layer(self):
        import gguf

        for tensor in self.read("Q4_K_M").tensors:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            if len(tensor.shape) == 1:
                self.assertTrue((values == 1).all(), tensor.name)
                continue
            root = int(tensor.shape[0]) ** 0.5
            self.assertAlmostEqual(values.std() * root, 1.0, delta=0.05, msg=tensor.name)
            # Each 32 elements have a minimum of their own.
            delta = 4.0 / (values.size / 32) ** 0.5
            self.assertAlmostEqual(values.mean() * root, 0.0, delta=delta, msg=tensor.name)

    def test_types(self):
        def types(file_type):
            return {t.name: t.tensor_type.name for t in self.read(file_type).tensors}

        plain = types("Q4_0")
        self.assertEqual(plain.pop("output.weight"), "Q6_K")
        self.assertEqual({kind for name, kind in plain.items() if "norm" not in name}, {"Q4_0"})
        mixed = types("Q4_K_M")
        careful = [n for n in range(8) if mixed[f"blk.{n}.ffn_down.weight"] == "Q6_K"]
        self.assertEqual(careful, [0, 3, 6, 7])
        for n in range(8):
            self.assertEqual(mixed[f"blk.{n}.attn_v.weight"], mixed[f"blk.{n}.ffn_down.weight"])
            self.assertEqual(mixed[f"blk.{n}.ffn_up.weight"], "Q4_K")

    def test_columns_that_no_block_fits_are_refused(self):
        import numpy as np
        import random_gguf

        with self.assertRaisesRegex(SystemExit, "100 columns: expected a multiple of 32"):
            random_gguf.random_rows(np.random.default_rng(1), random_gguf.Type.Q4_0, 4, 100)


if __name__ == "__main__":
    unittest.main()
