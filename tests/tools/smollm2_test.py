"""A real model: SmolLM2-135M-Instruct as GGUF (scripts/get-model smollm2). Skipped where it is not in
the cache, or the program is not built; what compares with other packages, where those are missing.
Set ATOM to the program to test, by default build/src/atom/atom."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("ATOM", ROOT / "build/src/atom/atom"))
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODEL = CACHE / "atom/models/SmolLM2-135M-Instruct.Q4_1.gguf"
TEXT = ROOT / "data/wikitext2/wiki.test.raw"
# An independent forward pass in numpy, of the dequantized weights rounded to bf16 in fp32 arithmetic:
# the first two windows of 2,048 tokens of wiki.test.raw, without BOS.
PERPLEXITY, TOLERANCE = 18.975685, 2e-4
# What `tokenizers` 0.23.3 makes of wiki.test.raw, in number.
TOKENS = 303415


def has(*packages):
    return all(importlib.util.find_spec(name) for name in packages)


def atom(*arguments):
    run = subprocess.run([PROGRAM, *arguments], capture_output=True, check=True)
    return run.stdout.decode("utf-8")


class Serving:
    """`atom serve` as long as the context lasts: its URL."""

    def __init__(self, *arguments):
        self.command = [PROGRAM, "serve", *arguments, "--port", "0"]

    def __enter__(self):
        self.server = subprocess.Popen(self.command, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True)
        for line in self.server.stdout:
            if line.startswith("serving "):
                return line.split()[-1]
        raise RuntimeError("the server did not start")

    def __exit__(self, *_):
        self.server.terminate()
        self.server.communicate(timeout=60)


@unittest.skipUnless(MODEL.exists(), f"{MODEL} is not there: scripts/get-model smollm2 fetches it")
@unittest.skipUnless(PROGRAM.exists(), f"{PROGRAM} is not built")
class SmolLm2Test(unittest.TestCase):

    def evaluate(self, model, *arguments):
        text = atom("eval", model, "--data", ROOT / "data", "--json", "-", *arguments)
        return json.loads(text)

    def test_perplexity_is_that_of_an_independent_forward_pass(self):
        found = self.evaluate(MODEL, "--ppl", "wikitext2-raw", "--windows", "2",
                              "--weight-dtype", "bf16")["perplexity"][0]
        self.assertEqual(found["tokens"], TOKENS)
        self.assertAlmostEqual(found["ppl"], PERPLEXITY, delta=TOLERANCE)

    def test_it_knows_the_capital_of_france(self):
        text = atom("generate", MODEL, "--prompt", "The capital of France is", "--temperature", "0",
                    "--max-tokens", "2")
        self.assertTrue(text.startswith(" Paris"), text)

    @unittest.skipUnless(has("gguf"), "the Python package gguf is not installed")
    def test_as_safetensors_it_gives_the_same_bits(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder) / "f32"
            subprocess.run([sys.executable, ROOT / "tools/gguf_to_safetensors.py", MODEL, folder],
                           check=True)
            results = []
            for model in (MODEL, folder):
                result = self.evaluate(model, "--ppl", "wikitext2-raw", "--windows", "1", "--tasks",
                                       "piqa", "--limit", "10", "--log-likelihoods")
                for row in result["perplexity"] + result["tasks"]:
                    row.pop("seconds")
                results.append(result)
            self.assertEqual(*results)

    @unittest.skipUnless(has("gguf", "tokenizers"), "gguf or tokenizers is not installed")
    def test_ids_are_those_of_hugging_face(self):
        sys.path.insert(0, str(ROOT / "tools"))
        import gguf_model
        import tokenizers

        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(gguf_model.GgufModel(MODEL).tokenizer))
        odd = "".join(map(chr, [*range(0x250), *range(0x370, 0x600), 0x1F600, 0x660, 0xBD]))
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "odd.txt"
            file.write_bytes(odd.encode())
            for path in (TEXT, file):
                expected = tokenizer.encode(path.read_bytes().decode(), add_special_tokens=False)
                found = atom("tokenize", MODEL, path)
                self.assertEqual([int(token) for token in found.split()], expected.ids)

    # Its tokens have 235 of the 256 bytes: none brings F1 or some control characters.
    @unittest.skipUnless(has("openai"), "the Python package openai is not installed")
    def test_answers_keep_to_a_json_schema(self):
        import openai

        schema = {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 30},
                "country": {"enum": ["France", "España", "日本"]},
                "people": {"type": "integer", "minimum": 0},
            },
            "required": ["city", "country", "people"],
            "additionalProperties": False,
        }
        with Serving(MODEL, "--memory", "3GiB") as url:
            client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)

            def begin(form, max_tokens):
                return client.chat.completions.create(
                    model=client.models.list().data[0].id,
                    messages=[{"role": "user", "content": "Name a city, as JSON."}],
                    response_format=form, max_tokens=max_tokens, temperature=0).choices[0]

            def ask(form):
                choice = begin(form, 100)
                self.assertEqual(choice.finish_reason, "stop")
                return json.loads(choice.message.content)

            def form(schema):
                return {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}

            found = ask(form(schema))
            self.assertEqual(list(found), ["city", "country", "people"])
            self.assertLessEqual(len(found["city"]), 30)
            self.assertIn(found["country"], schema["properties"]["country"]["enum"])
            self.assertGreaterEqual(found["people"], 0)
            self.assertEqual(ask(form({"const": "日本 🦙"})), "日本 🦙")
            self.assertTrue(begin({"type": "json_object"}, 8).message.content.startswith("{"))
            with self.assertRaises(openai.BadRequestError) as raised:
                ask(form({"enum": ["\U00040000"]}))
            self.assertIn("UTF-8 F1 80 80 80", raised.exception.message)


@unittest.skipUnless(has("gguf"), "the Python package gguf is not installed")
@unittest.skipUnless((ROOT / "build/tests/io_tests").exists(), "io_tests is not built")
class BlocksTest(unittest.TestCase):
    """Fresh random blocks, beside the committed ones."""

    def test_blocks_are_dequantized_as_by_the_gguf_package(self):
        with tempfile.TemporaryDirectory() as folder:
            seed = int.from_bytes(os.urandom(4), "little")
            subprocess.run([sys.executable, ROOT / "tools/make_gguf_golden.py", folder, "--seed",
                            str(seed), "--blocks-only"], check=True)
            environment = dict(os.environ, ATOM_GGUF_BLOCKS=str(pathlib.Path(folder) / "blocks.json"))
            run = subprocess.run([ROOT / "build/tests/io_tests",
                                  "--gtest_filter=BlockType.DequantizesAsTheGgufPackageDoes"],
                                 env=environment, capture_output=True)
            self.assertEqual(run.returncode, 0, f"seed {seed}: {run.stdout.decode()}")


if __name__ == "__main__":
    unittest.main()
