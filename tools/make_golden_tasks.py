#!/usr/bin/env python3
"""Golden log-likelihoods of multiple-choice tasks: lm-evaluation-harness on Hugging Face transformers.

    tools/make_golden_tasks.py MODEL OUT.json [--data data/zeroshot] [--limit 20]

Needs lm-eval, torch and transformers; neither building nor testing Atom does. Prompts, splitting into
tokens and metrics are those of lm-eval's own task definitions; only the place of the items is another.
Files with the fields "query", "choices" and "gold" are given back their original fields first.
"""

import argparse
import json
import os
import pathlib
import tempfile

import lm_eval
import lm_eval.tasks
import torch
import yaml
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM

# Task, its definition in lm-eval, its file.
TASKS = (
    ("piqa", "piqa/piqa.yaml", "piqa.jsonl"),
    ("arc_easy", "arc/arc_easy.yaml", "arc_easy.jsonl"),
    ("boolq", "super_glue/boolq/default.yaml", "boolq.jsonl"),
    ("hellaswag", "hellaswag/hellaswag.yaml", "hellaswag_val_1000.jsonl"),
    ("winogrande", "winogrande/default.yaml", "winogrande.jsonl"),
)


def original_piqa(item):
    goal = item["query"].removeprefix("Question: ").removesuffix("\n")
    first, second = item["choices"]
    return {"goal": goal, "sol1": first, "sol2": second, "label": item["gold"]}


def original_arc(item):
    labels = "ABCDE"[: len(item["choices"])]
    return {
        "question": item["query"].removeprefix("Question: "),
        "choices": {"text": item["choices"], "label": list(labels)},
        "answerKey": labels[item["gold"]],
    }


def original_boolq(item):
    passage, question = item["query"].removeprefix("Passage: ").rsplit("\nQuestion: ", 1)
    return {"passage": passage, "question": question.removesuffix("?"), "label": item["gold"]}


def original_winogrande(item):
    first, second = item["context_options"]
    common = len(os.path.commonprefix([first, second]))
    return {
        "sentence": f"{first[:common]}_ {item['continuation']}",
        "option1": first[common:],
        "option2": second[common:],
        "answer": str(item["gold"] + 1),
    }


ORIGINAL = {
    "piqa": original_piqa,
    "arc_easy": original_arc,
    "boolq": original_boolq,
    "winogrande": original_winogrande,
}


def read_items(path, task, limit):
    items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:limit]]
    converted = "query" in items[0] or "context_options" in items[0]
    return [ORIGINAL[task](item) for item in items] if converted else items


def make_task(name, definition, items, folder):
    """lm-eval's task over `items` instead of its download."""
    path = pathlib.Path(folder) / f"{name}.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    source = pathlib.Path(lm_eval.tasks.__file__).parent / definition
    config = load_definition(source)
    config.update(
        dataset_path="json",
        dataset_name=None,
        dataset_kwargs={"data_files": {"validation": str(path)}},
        training_split=None,
        validation_split="validation",
        test_split=None,
    )
    for key in ("tag", "should_decontaminate", "doc_to_decontamination_query"):
        config.pop(key, None)
    return ConfigurableTask(config={**config, "task": name})


def load_definition(path):
    """A task's YAML, whose "!function module.name" are functions of files beside it."""

    def function(loader, node):
        module, name = loader.construct_scalar(node).rsplit(".", 1)
        scope = {}
        exec((path.parent / f"{module}.py").read_text(encoding="utf-8"), scope)
        return scope[name]

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", function)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)


def evaluate(model, name, task):
    results = lm_eval.simple_evaluate(
        model=model, tasks=[task], num_fewshot=0, log_samples=True
    )
    metrics = {
        key.removesuffix(",none"): value
        for key, value in results["results"][name].items()
        if key.endswith(",none")
    }
    samples = sorted(results["samples"][name], key=lambda sample: sample["doc_id"])
    return {
        "task": name,
        **{key: value for key, value in metrics.items() if isinstance(value, float)},
        "log_likelihoods": [[float(r[0]) for r in s["filtered_resps"]] for s in samples],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("data/zeroshot"))
    parser.add_argument("--limit", type=int, default=20)
    arguments = parser.parse_args()
    # tokenizer_config.json says whether a text begins with bos; what tokenizer.json's post-processor
    # does is overruled, as Atom does.
    with open(os.path.join(arguments.model, "tokenizer_config.json"), encoding="utf-8") as file:
        add_bos = json.load(file).get("add_bos_token")
    model = HFLM(
        pretrained=arguments.model,
        dtype=torch.float32,
        device="cpu",
        batch_size=1,
        add_bos_token=add_bos,
    )
    golden = {"lm_eval": lm_eval.__version__, "tasks": []}
    with tempfile.TemporaryDirectory() as folder:
        for name, definition, file in TASKS:
            path = arguments.data / file
            if not path.exists():
                print(f"{name}: no {path}, left out")
                continue
            items = read_items(path, name, arguments.limit)
            golden["tasks"].append(evaluate(model, name, make_task(name, definition, items, folder)))
    arguments.out.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
