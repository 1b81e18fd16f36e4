#!/usr/bin/env python3
"""Prints the tables of docs/performance-cpu.md from the JSON files of `atom bench --json`.

    tools/bench_table.py docs/performance/epyc_*.json

For each processor one Markdown table for each kind of bench, rows in the order of the files.
"""

import json
import sys

# Columns of each bench: heading, and what it shows of a row.
SHARE = ("share of ceiling", lambda r: f"{100 * r['ceiling_fraction']:.1f} % of {r['ceiling']}")
RATIO = ("times others", lambda r: ", ".join(f"{k} {v:.2f}" for k, v in r.get("ratio", {}).items()))
COLUMNS = {
    "gemm": [
        ("kernel", lambda r: r["kernel"]),
        ("M", lambda r: r["m"]),
        ("N × K", lambda r: f"{r['n']} × {r['k']}"),
        ("GOP/s", lambda r: f"{r['gops']:.0f}"),
        ("GB/s", lambda r: f"{r['gbps']:.1f}"),
        SHARE,
        RATIO,
    ],
    "attention": [
        ("test", lambda r: r["test"]),
        ("shape", lambda r: r["shape"]),
        ("KV", lambda r: r["kv"]),
        ("depth", lambda r: r["depth"]),
        ("ms", lambda r: f"{1000 * r['seconds']:.3f}"),
        SHARE,
        RATIO,
    ],
    "model": [
        ("geometry", lambda r: r["geometry"]),
        ("layers", lambda r: f"{r['layers']} of {r['model_layers']}"),
        ("recipe", lambda r: r["recipe"]),
        ("test", lambda r: r["test"]),
        ("tokens/s", lambda r: f"{r['tokens_per_second']:.1f}"),
        SHARE,
    ],
}


def read(paths):
    """{processor: {bench: rows}}, in the order of the files."""
    machines = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        rows = machines.setdefault(f"{report['cpu']}, {report['isa']}", {})
        for row in report["rows"]:
            rows.setdefault(row["bench"], []).append(row)
    return machines


def main(paths):
    for machine, rows in read(paths).items():
        print(f"### {machine}\n")
        for bench, columns in COLUMNS.items():
            if bench not in rows:
                continue
            print("| " + " | ".join(heading for heading, _ in columns) + " |")
            print("|" + " --- |" * len(columns))
            for row in rows[bench]:
                print("| " + " | ".join(str(show(row)) for _, show in columns) + " |")
            print()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
