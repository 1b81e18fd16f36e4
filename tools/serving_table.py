#!/usr/bin/env python3
"""Prints the tables of docs/performance-serving.md from the JSON files of `atom bench serve` and
`atom bench serving-recipes`.

    tools/serving_table.py docs/performance/serving_*.json

Recipes: for each processor one Markdown table at equal batches and one in equal memory, a row for
each recipe and point, with its throughput as a multiple of that of `none` at the same point. Loads:
one table, a row for each file.
"""

import json
import pathlib
import sys


def mib(count):
    return f"{count / 2**20:.0f} MiB"


def latency(summary):
    return f"{summary['p50']:.1f} / {summary['p99']:.1f}"


POINT = [
    ("geometry", lambda r: r["geometry"]),
    ("layers", lambda r: f"{r['layers']} of {r['model_layers']}"),
    ("recipe", lambda r: r["recipe"]),
    ("KV bits", lambda r: r["kv_bits"]),
    ("lengths", lambda r: f"× {r['scale']:g}"),
]
MEASURED = [
    ("tokens/s", lambda r: f"{r['output_tokens_per_second']:.1f}"),
    ("times none", lambda r: f"{r['times_none']:.2f}" if "times_none" in r else ""),
    ("ms between tokens, p50 / p99", lambda r: latency(r["decode_ms"])),
]
BATCHES = POINT + [("batch", lambda r: r["batch"])] + MEASURED
BUDGETS = (
    POINT
    + [("memory", lambda r: mib(r["budget_bytes"])), ("weights", lambda r: mib(r["weight_bytes"]))]
    + [("running", lambda r: f"{r['mean_running']:.1f}")]
    + MEASURED
    + [("preempted", lambda r: r["preemptions"])]
)
LOADS = [
    ("file", lambda r: r["file"]),
    ("model", lambda r: r["model"]),
    ("completed", lambda r: f"{r['completed']} of {r['requests']}"),
    ("requests/s", lambda r: f"{r['requests_per_second']:.2f}"),
    ("within goals", lambda r: f"{r['goodput_per_second']:.2f}"),
    ("tokens/s", lambda r: f"{r['output_tokens_per_second']:.1f}"),
    ("ms to first token, p50 / p99", lambda r: latency(r["ttft_ms"])),
    ("ms between tokens, p50 / p99", lambda r: latency(r["itl_ms"])),
]


def print_table(title, columns, rows):
    if not rows:
        return
    print(f"### {title}\n")
    print("| " + " | ".join(heading for heading, _ in columns) + " |")
    print("|" + " --- |" * len(columns))
    for row in rows:
        if row.get("fits", True):
            cells = [str(show(row)) for _, show in columns]
        else:  # what is known without measuring, then the reason
            known = [h for h, _ in columns].index("running")
            cells = [str(show(row)) for _, show in columns[:known]] + ["does not fit"]
            cells += [""] * (len(columns) - len(cells))
        print("| " + " | ".join(cells) + " |")
    print()


def point_of(row):
    return (row["geometry"], row["layers"], row.get("batch"), row.get("budget_bytes"))


def compare(rows):
    """Adds to each row its throughput as a multiple of that of `none` at the same point."""
    measured = [row for row in rows if row["fits"]]
    base = {point_of(row): row for row in measured if row["recipe"] == "none"}
    for row in measured:
        if point_of(row) in base:
            speed = base[point_of(row)]["output_tokens_per_second"]
            row["times_none"] = row["output_tokens_per_second"] / speed


def main(paths):
    machines, loads = {}, []
    for path in paths:
        report = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        if report.get("bench") == "serve":
            loads.append({**report, "file": pathlib.Path(path).stem})
        else:
            machine = f"{report['cpu']}, {report['isa']}, {report['threads']} threads"
            compare(report["rows"])  # what ran together
            machines.setdefault(machine, []).extend(report["rows"])
    for machine, rows in machines.items():
        print_table(f"Equal batches: {machine}", BATCHES, [r for r in rows if "batch" in r])
        print_table(f"Equal memory: {machine}", BUDGETS, [r for r in rows if "budget_bytes" in r])
    print_table("Loads", LOADS, loads)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
