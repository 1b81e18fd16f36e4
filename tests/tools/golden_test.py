"""The golden data against a second independent implementation, numpy_llama: a fixture whose config
is read differently by two libraries would be no fixture.

Run: python3 -m unittest discover -s tests/tools -p "*_test.py"
"""

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
GOLDEN = ROOT / "tests" / "golden"
sys.path[:0] = [str(ROOT / "tools"), str(pathlib.Path(__file__).parent)]

import hashed_weights  # noqa: E402
import make_tiny_models  # noqa: E402
import numpy_llama  # noqa: E402


class GoldenTest(unittest.TestCase):

    def test_tiny_models(self):
        for name in make_tiny_models.MODELS:
            with self.subTest(name):
                golden = json.loads((GOLDEN / name / "golden.json").read_text())
                config, weights = numpy_llama.load(GOLDEN / name)
                whole = {**golden, "rows": slice(None)}
                for sequence in golden.get("sequences", [whole]):
                    found = numpy_llama.forward(config, weights, sequence["tokens"])
                    found = found[sequence["rows"]]
                    np.testing.assert_allclose(found, sequence["logits"], rtol=0, atol=2e-5)

    def test_wide_models(self):
        for fixture in sorted(GOLDEN.glob("wide-*")):
            with self.subTest(fixture.name), tempfile.TemporaryDirectory() as folder:
                golden = json.loads((fixture / "golden.json").read_text())
                checksum = hashed_weights.write_checkpoint(fixture, folder)
                self.assertEqual(checksum, golden["weights"])
                config, weights = numpy_llama.load(folder)
                if config["model_type"].startswith(("gemma", "opt")):
                    continue  # which numpy_llama does not know
                for sequence in golden["sequences"]:
                    found = numpy_llama.forward(config, weights, sequence["tokens"])
                    found = found[sequence["rows"]]
                    np.testing.assert_allclose(found, sequence["logits"], rtol=0, atol=1e-4)

    def test_the_scaled_fixtures_need_their_scaling(self):
        for name in ("tiny-rope-linear", "tiny-rope-llama3"):
            with self.subTest(name):
                golden = json.loads((GOLDEN / name / "golden.json").read_text())
                config, weights = numpy_llama.load(GOLDEN / name)
                rope = config.pop("rope_parameters", None) or config.pop("rope_scaling")
                config["rope_theta"] = rope.get("rope_theta", config.get("rope_theta"))
                found = numpy_llama.forward(config, weights, golden["tokens"])
                self.assertGreater(np.abs(found - golden["logits"]).max(), 0.05)

    def test_tiny_models_are_what_the_tool_makes(self):
        with tempfile.TemporaryDirectory() as folder:
            make_tiny_models.main([folder])
            for path in pathlib.Path(folder).rglob("*.*"):
                committed = GOLDEN / path.relative_to(folder)
                self.assertEqual(path.read_bytes(), committed.read_bytes(), committed)

    def test_trained_models(self):
        for name in ("stories260k", "atom-demo"):
            with self.subTest(name):
                golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
                model = numpy_llama.load(ROOT / "models" / name)
                for sequence in golden["sequences"]:
                    logits = numpy_llama.forward(*model, sequence["tokens"])
                    np.testing.assert_allclose(
                        logits[:, golden["watched_ids"]],
                        sequence["watched_logits"],
                        rtol=0,
                        atol=5e-4,
                    )
                    top = np.take_along_axis(logits, np.array(sequence["top_ids"]), axis=1)
                    np.testing.assert_allclose(top, sequence["top_logits"], rtol=0, atol=5e-4)
                    self.assertTrue((np.abs(logits.max(axis=1) - top[:, 0]) < 5e-4).all())

    def test_atom_demo_is_books_17m(self):
        books, demo = (
            (GOLDEN / f"{name}.json").read_text(encoding="utf-8").partition("\n")[2]
            for name in ("books-17m", "atom-demo")
        )
        self.assertEqual(books, demo)


if __name__ == "__main__":
    unittest.main()
