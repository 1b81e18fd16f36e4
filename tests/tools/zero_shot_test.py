"""SmolLM2 on tasks: lm-evaluation-harness against `atom serve`, item by item beside `atom eval --tasks`.

Skipped where the model (scripts/get-model smollm2), the program, or a package is missing; the packages are
lm_eval[api] 0.4.13 with transformers and gguf. ATOM names the program, by default build/src/atom/atom,
LM_EVAL the harness's command, ITEMS the items of each task (40). A task whose file is in no data folder
(boolq comes with no licence to pass it on) is skipped too."""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("ATOM", ROOT / "build/src/atom/atom"))
LM_EVAL = os.environ.get("LM_EVAL", "lm_eval")
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODEL = CACHE / "atom/models/SmolLM2-135M-Instruct.Q4_1.gguf"
DATA = [pathlib.Path(os.environ.get("ATOM_DATA", ROOT / "data")), ROOT / "data"]
ITEMS = int(os.environ.get("ITEMS", "40"))
# The files' own form (data/README.md) as the harness's own tasks would ask it.
QUERY = """
doc_to_text: "{{{{query}}}}{suffix}"
doc_to_choice: choices
doc_to_target: gold
"""
OPTIONS = """
doc_to_text: gold
doc_to_choice: context_options
doc_to_target: continuation
"""
TASKS = {
    "piqa": ("piqa.jsonl", QUERY.format(suffix="Answer:"), True),
    "arc_easy": ("arc_easy.jsonl", QUERY.format(suffix="\\nAnswer:"), True),
    # Either form: "Passage: …" in one field, or the data set's own fields.
    "boolq": ("boolq.jsonl", """
doc_to_text: "{% if query is defined %}{{query[9:]}}{% else %}{{passage}}\\nQuestion: {{question}}?\
{% endif %}\\nAnswer:"
doc_to_choice: ["no", "yes"]
doc_to_target: "{% if query is defined %}{{gold}}{% else %}{{label}}{% endif %}"
""", False),
    "hellaswag": ("hellaswag_val_1000.jsonl", """
process_docs: !function hellaswag.process_docs
doc_to_text: "{{query}}"
doc_to_choice: choices
doc_to_target: "{{label}}"
""", True),
    "winogrande": ("winogrande.jsonl", OPTIONS, False),
}
HEAD = """
task: local_{name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
output_type: multiple_choice
test_split: test
fewshot_split: test
metric_list: [{{metric: acc}}{norm}]
"""


def find(file):
    places = [folder / part / file for folder in DATA for part in ("zeroshot", "")]
    return next((place for place in places if place.exists()), None)


@unittest.skipIf(shutil.which(LM_EVAL) is None, "lm-evaluation-harness is not installed")
@unittest.skipUnless(importlib.util.find_spec("gguf"), "the Python package gguf is not installed")
@unittest.skipUnless(MODEL.exists(), f"{MODEL} is not there: scripts/get-model smollm2 fetches it")
@unittest.skipUnless(PROGRAM.exists(), f"{PROGRAM} is not built")
class ZeroShotTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        sys.path.insert(0, str(ROOT / "tools"))
        import gguf_model

        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        cls.tokenizer = cls.path / "tokenizer"
        cls.tokenizer.mkdir()
        (cls.tokenizer / "tokenizer.json").write_text(json.dumps(gguf_model.GgufModel(MODEL).tokenizer))
        (cls.tokenizer / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"})
        )
        # The harness's own reading of HellaSwag.
        found = importlib.util.find_spec("lm_eval")
        if found is not None:
            utils = pathlib.Path(found.origin).parent / "tasks/hellaswag/utils.py"
            shutil.copy(utils, cls.path / "hellaswag.py")
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

    def harness(self, name, file, fields, has_norm, shots):
        norm = ", {metric: acc_norm}" if has_norm else ""
        task = HEAD.format(name=name, file=file, norm=norm) + fields
        (self.path / f"local_{name}.yaml").write_text(task, encoding="utf-8")
        out = self.path / "out"
        shutil.rmtree(out, ignore_errors=True)
        arguments = {
            "model": MODEL.name,
            "base_url": self.address + "/v1/completions",
            "num_concurrent": 8,
            "max_length": 2048,
            "tokenizer_backend": "huggingface",
            "tokenizer": self.tokenizer,
            "tokenized_requests": True,
        }
        command = [LM_EVAL, "--model", "local-completions", "--tasks", f"local_{name}"]
        command += ["--model_args", ",".join(f"{key}={value}" for key, value in arguments.items())]
        command += ["--include_path", self.path, "--output_path", out, "--log_samples"]
        command += ["--limit", str(ITEMS), "--num_fewshot", str(shots)]
        offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(self.path), "TOKENIZERS_PARALLELISM": "false"}
        run = subprocess.run(command, env={**os.environ, **offline}, capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr[-2000:])
        results = json.loads(next(out.rglob("results*.json")).read_text())["results"][f"local_{name}"]
        samples = next(out.rglob("samples*.jsonl")).read_text(encoding="utf-8").splitlines()
        return results, sorted(map(json.loads, samples), key=lambda sample: sample["doc_id"])

    def compare(self, name, shots=0):
        file, fields, has_norm = TASKS[name]
        place = find(file)
        if place is None:
            self.skipTest(f"{file} is in no data folder")
        command = [PROGRAM, "eval", MODEL, "--tasks", f"{name}={place}", "--limit", str(ITEMS)]
        command += ["--shots", str(shots), "--log-likelihoods", "--json", "-"]
        measured = subprocess.run(command, capture_output=True, check=True)
        expected = json.loads(measured.stdout)["tasks"][0]
        results, samples = self.harness(name, place, fields, has_norm, shots)
        self.assertEqual(len(samples), expected["n"])
        for sample, values in zip(samples, expected["log_likelihoods"], strict=True):
            for response, value in zip(sample["filtered_resps"], values, strict=True):
                self.assertAlmostEqual(float(response[0]), value, delta=2e-3)
        self.assertEqual(results["acc,none"], expected["acc"])
        if has_norm:
            self.assertEqual(results["acc_norm,none"], expected["acc_norm"])

    def test_piqa(self):
        self.compare("piqa")

    def test_arc_easy(self):
        self.compare("arc_easy")

    def test_boolq(self):
        self.compare("boolq")

    def test_hellaswag(self):
        self.compare("hellaswag")

    def test_winogrande(self):
        self.compare("winogrande")

    def test_examples_are_drawn_as_by_the_harness(self):
        self.compare("piqa", shots=3)
        self.compare("winogrande", shots=2)


if __name__ == "__main__":
    unittest.main()
