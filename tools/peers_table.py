#!/usr/bin/env python3
"""Prints the tables of what tools/bench_peers.py measured: rates of each program and model, how many
times as fast as each peer Atom's presets are, the command lines, and who failed.

    tools/peers_table.py docs/performance/peers_*.json
"""

import json
import pathlib
import re
import statistics
import sys


def spread(values, digits):
    low, middle, high = (f"{f(values):.{digits}f}" for f in (min, statistics.median, max))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def ratios(over, under):
    """Of the rounds that both have."""
    return [a / b for a, b in zip(over, under)]


def print_rows(headings, rows):
    print("| " + " | ".join(headings) + " |")
    print("|" + " --- |" * len(headings))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def deep_pairs(tests):
    """(deep, shallow) tests of decoding, for what a depth leaves of the speed."""
    shallow = [name for name in tests if re.fullmatch(r"tg\d+", name)]
    return [(name, shallow[0]) for name in tests if "@" in name and shallow]


def print_tables(report):
    tests, entries = report["tests"], report["entries"]
    whole = [entry for entry in entries if "error" not in entry]
    layers = f"{report['layers']} of {report['model_layers']} layers"
    print(f"### {report['geometry']}, {layers}: {report['cpu']}, {report['threads']} threads\n")
    print(f"Tokens per second, medians of {report['rounds']} rounds (least to most).\n")
    pairs = deep_pairs(tests)
    print_rows(
        ["program", "commit", "model", "KV", *tests, *(f"{deep} / {flat}" for deep, flat in pairs)],
        [[e["program"], e["commit"], e["model"], e["kv"], *(spread(e["rates"][t], 1) for t in tests),
          *(spread(ratios(e["rates"][deep], e["rates"][flat]), 2) for deep, flat in pairs)]
         for e in whole],
    )  # fmt: skip
    ours = [entry for entry in whole if entry["program"] == "atom"]
    peers = [entry for entry in whole if entry["program"] != "atom"]
    if ours and peers:
        print("Times as fast as the peer, medians of the rounds' ratios (least to most).\n")
        print_rows(
            ["preset", "against", *tests],
            [[a["model"], f"{b['program']} {b['model']}",
              *(spread(ratios(a["rates"][t], b["rates"][t]), 2) for t in tests)]
             for a in ours for b in peers],
        )  # fmt: skip
    for program, commands in report["commands"].items():
        print(f"{program}:\n")
        print("".join(f"    {line}\n" for line in commands.values()))
    for entry in entries:
        if "error" in entry:
            print(f"Failed: {entry['error']}\n")


def main(paths):
    for path in paths:
        print_tables(json.loads(pathlib.Path(path).read_text(encoding="utf-8")))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
