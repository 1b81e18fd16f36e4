#!/usr/bin/env python3
"""Prints the tables of docs/performance-serving.md from the JSON files of `atom bench serve` and
`atom bench serving-recipes`.

    tools/serving_table.py docs/performance/serving_*.json

Recipes: for each machine one Markdown table at equal batches and one in equal memory, a row for each
recipe and point, with its throughput as a multiple of that of `none` at the same point, and in equal
memory the bound: how many times the positions of `none` its KV memory holds. Loads: one table, a row
for each file; traces: one of the trials of all files.
"""

import json
import pathlib
import sys


def mib(count):
    return f"{count / 2**20:.0f} MiB"


def latency(summary):
    return f"{summary['p50']:.1f} / {summary['p99']:.1f}"


def lengths(row):
    plan = row.get("lengths", {"scale": row.get("scale")})
    if "prompt" in plan:
        return f"{plan['prompt']}/{plan['output']}"
    return f"× {plan['scale']:g}"


def batch(row):
    shared = row.get("kv_layers", row["layers"]) < row["layers"]
    return f"{row['batch']}, KV of one layer" if shared else row["batch"]


def rule(row):
    return row.get("rule", "demand")  # the only one in older files


POINT = [
    ("geometry", lambda r: r["geometry"]),
    ("layers", lambda r: f"{r['layers']} of {r['model_layers']}"),
    ("recipe", lambda r: r["recipe"]),
    ("KV bits", lambda r: r["kv_bits"]),
    ("lengths", lengths),
]
MEASURED = [
    ("tokens/s", lambda r: f"{r['output_tokens_per_second']:.1f}"),
    ("times none", lambda r: f"{r['times_none']:.2f}" if "times_none" in r else ""),
    ("ms between tokens, p50 / p99", lambda r: latency(r["decode_ms"])),
]
BATCHES = POINT + [("batch", batch), ("all of it", lambda r: mib(r["total_bytes"]))] + MEASURED
BUDGETS = (
    POINT
    + [("memory", lambda r: mib(r["budget_bytes"])), ("weights", lambda r: mib(r["weight_bytes"]))]
    + [("rule", rule), ("KV, times none", lambda r: f"{r['bound']:.2f}" if "bound" in r else "")]
    + [("running", lambda r: f"{r['mean_running']:.1f}")]
    + MEASURED
    + [("preempted", lambda r: r["preemptions"])]
)
TRACES = [
    ("geometry", lambda r: r["geometry"]),
    ("recipe", lambda r: r["recipe"]),
    ("times the trace", lambda r: f"{r['rate']:.2f}"),
    ("requests/s", lambda r: f"{r['offered_per_second']:.2f}"),
    ("within goals", lambda r: "yes" if r["holds"] else "no"),
    ("tokens/s", lambda r: f"{r['output_tokens_per_second']:.1f}"),
    ("ms to first token, p50 / p99", lambda r: latency(r["ttft_ms"])),
    ("ms between tokens, p50 / p99", lambda r: latency(r["itl_ms"])),
]
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


# Columns that older files know nothing of: there where a row has the field.
LATER = {"all of it": "reserve_bytes", "rule": "rule", "KV, times none": "rule"}


def print_table(title, columns, rows):
    if not rows:
        return
    known = {heading for heading, field in LATER.items() if any(field in row for row in rows)}
    columns = [c for c in columns if c[0] not in LATER or c[0] in known]
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
    budget = row.get("budget_bytes")
    place = (row.get("batch"), budget, rule(row) if budget else None)
    return (row["geometry"], row["layers"], lengths(row)) + place


def compare(rows):
    """Adds to each row its throughput and its KV memory as multiples of those of `none` at the same
    point."""
    base = {point_of(row): row for row in rows if row["recipe"] == "none"}
    for row in rows:
        none = base.get(point_of(row))
        if none is None:
            continue
        if none.get("kv_pages", 0) > 0:
            row["bound"] = row["kv_pages"] / none["kv_pages"]
        if row["fits"] and none["fits"]:
            speed = none["output_tokens_per_second"]
            row["times_none"] = row["output_tokens_per_second"] / speed


def machine_of(report):
    if "card" in report:
        return report["card"]
    return f"{report['cpu']}, {report['isa']}, {report['threads']} threads"


def main(paths):
    machines, traces, loads = {}, {}, []
    for path in paths:
        report = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        if report.get("bench") == "serve":
            loads.append({**report, "file": pathlib.Path(path).stem})
            continue
        rows = report["rows"]
        if rows and rows[0].get("bench") == "serving-trace":
            traces.setdefault(machine_of(report), []).extend(rows)
            continue
        compare(rows)  # what ran together
        machines.setdefault(machine_of(report), []).extend(rows)
    for machine, rows in machines.items():
        print_table(f"Equal batches: {machine}", BATCHES, [r for r in rows if "batch" in r])
        print_table(f"Equal memory: {machine}", BUDGETS, [r for r in rows if "budget_bytes" in r])
    for machine, rows in traces.items():
        print_table(f"A trace: {machine}", TRACES, rows)
    print_table("Loads", LOADS, loads)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
