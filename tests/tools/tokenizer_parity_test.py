"""The tokenizers of models at hand beside the original libraries, by tools/tokenizer_parity.py: the
embedded model's two forms, SmolLM2's and Gemma 3's GGUF files where scripts/get-model fetched them.
Skipped where the program is not built or a package is missing. Set ATOM to the program to test."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("ATOM", ROOT / "build/src/atom/atom"))
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODELS = CACHE / "atom/models"


def missing(*packages):
    return [name for name in packages if not importlib.util.find_spec(name)]


@unittest.skipUnless(PROGRAM.exists(), f"{PROGRAM} is not built")
class TokenizerParityTest(unittest.TestCase):

    def compare(self, path, rows, *packages):
        if not path.exists():
            self.skipTest(f"{path} is not there")
        if missing(*packages):
            self.skipTest(f"missing: {missing(*packages)}")
        run = subprocess.run([sys.executable, ROOT / "tools/tokenizer_parity.py", path, "--atom", PROGRAM,
                              "--texts", "1"], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(run.stdout.count(": 0 differ; "), rows, run.stdout)

    def test_the_embedded_model(self):
        # tokenizer.json; tokenizer.model by two libraries
        self.compare(ROOT / "models/atom-demo", 3, "tokenizers", "sentencepiece")

    def test_smollm2(self):
        self.compare(MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf", 1, "tokenizers", "gguf")

    def test_gemma3(self):
        self.compare(MODELS / "gemma-3-270m-q4_k_m.gguf", 1, "tokenizers", "gguf")


if __name__ == "__main__":
    unittest.main()
