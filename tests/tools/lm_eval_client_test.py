"""lm-evaluation-harness against `atom serve` as any other OpenAI-compatible service, compared with
`atom eval --tasks`: skipped where the harness or the program is not there. Set ATOM to the program to
test, by default build/src/atom/atom, and LM_EVAL to the harness's command, by default lm_eval."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("ATOM", ROOT / "build/src/atom/atom"))
LM_EVAL = os.environ.get("LM_EVAL", "lm_eval")
MODEL = ROOT / "models/atom-demo"
ITEMS = 200
# What the tokenizer.json of published Llama models says and that of the embedded model does not: a
# text begins with <s>. (Its tokenizer_config.json says so, which the harness does not read.)
BEGINS_WITH_BOS = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
}
TASK = """
task: local_piqa
dataset_path: json
dataset_kwargs: {{data_files: {{validation: {file}}}}}
output_type: multiple_choice
validation_split: validation
doc_to_text: "{{{{query}}}}Answer:"
doc_to_choice: choices
doc_to_target: gold
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""


@unittest.skipIf(shutil.which(LM_EVAL) is None, "lm-evaluation-harness is not installed")
@unittest.skipUnless(PROGRAM.exists(), f"{PROGRAM} is not built")
class LmEvalClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        lines = (ROOT / "data/zeroshot/piqa.jsonl").read_text(encoding="utf-8").splitlines(True)
        (cls.path / "piqa.jsonl").write_text("".join(lines[:ITEMS]), encoding="utf-8")
        task = TASK.format(file=cls.path / "piqa.jsonl")
        (cls.path / "local_piqa.yaml").write_text(task, encoding="utf-8")
        cls.tokenizer = shutil.copytree(
            MODEL, cls.path / "tokenizer", ignore=shutil.ignore_patterns("*.safetensors")
        )
        rules = json.loads((cls.tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
        rules["post_processor"] = BEGINS_WITH_BOS
        (cls.tokenizer / "tokenizer.json").write_text(json.dumps(rules), encoding="utf-8")
        command = [PROGRAM, "eval", MODEL, "--tasks", "piqa", "--data", cls.path]
        measured = subprocess.run(
            [*command, "--log-likelihoods", "--json", "-"], capture_output=True, check=True
        )
        cls.expected = json.loads(measured.stdout)["tasks"][0]
        cls.server = subprocess.Popen(
            [PROGRAM, "serve", MODEL, "--port", "0", "--memory", "2GiB", "--no-log"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        cls.address = next(
            line.split()[-1] for line in cls.server.stdout if line.startswith("serving ")
        )

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.communicate(timeout=60)
        cls.folder.cleanup()

    def measure(self, **arguments):
        """What the harness writes: its results, and its samples in the order of the items."""
        arguments = {
            "model": MODEL.name,
            "base_url": self.address + "/v1/completions",
            "num_concurrent": 8,
            "max_length": 2048,
            "tokenizer_backend": "huggingface",
            "tokenizer": self.tokenizer,
            "add_bos_token": True,
            **arguments,
        }
        out = self.path / "out"
        shutil.rmtree(out, ignore_errors=True)
        command = [LM_EVAL, "--model", "local-completions", "--tasks", "local_piqa"]
        command += ["--model_args", ",".join(f"{name}={value}" for name, value in arguments.items())]
        command += ["--include_path", self.path, "--output_path", out, "--log_samples"]
        offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(self.path), "TOKENIZERS_PARALLELISM": "false"}
        run = subprocess.run(command, env={**os.environ, **offline}, capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr[-2000:])
        results = json.loads(next(out.rglob("results*.json")).read_text())["results"]["local_piqa"]
        samples = next(out.rglob("samples*.jsonl")).read_text(encoding="utf-8").splitlines()
        return results, sorted(map(json.loads, samples), key=lambda sample: sample["doc_id"])

    def expect_same(self, results, samples):
        self.assertEqual(results["acc,none"], self.expected["acc"])
        self.assertEqual(results["acc_norm,none"], self.expected["acc_norm"])
        self.assertAlmostEqual(results["acc_stderr,none"], self.expected["acc_stderr"], places=6)
        self.assertEqual(len(samples), ITEMS)
        for sample, expected in zip(samples, self.expected["log_likelihoods"], strict=True):
            for response, value in zip(sample["filtered_resps"], expected, strict=True):
                self.assertAlmostEqual(float(response[0]), value, delta=1e-3)

    def test_prompts_as_ids(self):
        self.expect_same(*self.measure(tokenized_requests=True))

    def test_prompts_as_text(self):
        self.expect_same(*self.measure(tokenized_requests=False))


if __name__ == "__main__":
    unittest.main()
