"""A real model: Gemma 3 270M as GGUF (scripts/get-model gemma3). Skipped where it is not in the cache,
or the program is not built. Set ATOM to the program to test, by default build/src/atom/atom."""

import json
import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("ATOM", ROOT / "build/src/atom/atom"))
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODEL = CACHE / "atom/models/gemma-3-270m-q4_k_m.gguf"
# An independent forward pass: transformers 5.24 in fp32, eager attention, of the tensors that the
# `gguf` package dequantizes, 1 subtracted from the norms', embeddings times sqrt(640) in bf16 (25.25):
# the first four windows of 2,048 tokens of wiki.test.raw behind one BOS.
PERPLEXITY, TOLERANCE = 25.697494, 1e-4
# What `tokenizers` 0.23.3 makes of wiki.test.raw, in number, and one for the BOS: BPE by the scores of
# the file, pieces of the kind "user defined" first.
TOKENS = 295216
# What the same forward pass writes behind "The capital of France is", 12 tokens.
GREEDY = "the capital of the country of France. It is the largest"


def atom(*arguments):
    run = subprocess.run([PROGRAM, *arguments], capture_output=True, check=True)
    return run.stdout.decode("utf-8")


@unittest.skipUnless(MODEL.exists(), f"{MODEL} is not there: scripts/get-model gemma3 fetches it")
@unittest.skipUnless(PROGRAM.exists(), f"{PROGRAM} is not built")
class Gemma3Test(unittest.TestCase):

    def test_perplexity_is_that_of_an_independent_forward_pass(self):
        text = atom("eval", MODEL, "--data", ROOT / "data", "--json", "-", "--ppl", "wikitext2-raw",
                    "--windows", "4", "--weight-dtype", "fp32")
        found = json.loads(text)["perplexity"][0]
        self.assertEqual(found["tokens"], TOKENS)
        self.assertAlmostEqual(found["ppl"] / PERPLEXITY, 1, delta=TOLERANCE)

    def test_greedy_tokens_are_those_of_an_independent_forward_pass(self):
        text = atom("generate", MODEL, "--prompt", "The capital of France is", "--temperature", "0",
                    "--max-tokens", "12")
        self.assertEqual(text.strip(), GREEDY)


if __name__ == "__main__":
    unittest.main()
