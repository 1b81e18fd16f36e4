"""Tests of tools/serving_table.py on small reports.

Run: python3 -m unittest discover -s tests/tools -p "*_test.py"
"""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import serving_table as tool  # noqa: E402


def point(recipe, speed, **where):
    row = {"geometry": "g", "layers": 2, "model_layers": 4, "recipe": recipe, "kv_bits": 4,
           "weight_bytes": 3 << 20, "scale": 0.25, "fits": speed is not None, **where}
    if speed is not None:
        row.update(output_tokens_per_second=speed, decode_ms={"p50": 1.25, "p99": 20.0},
                   mean_running=7.5, preemptions=3)
    return row


RECIPES = {
    "cpu": "C", "isa": "avx2", "threads": 2,
    "rows": [
        point("none", 10.0, batch=1),
        point("none", 40.0, batch=4),
        point("none", None, budget_bytes=5 << 20),
        point("w4", 30.0, batch=1),
        point("w4", 50.0, batch=4),
        point("w4", 60.0, budget_bytes=5 << 20),
    ],
}
NEW = {"layers": 4, "kv_layers": 4, "reserve_bytes": 0, "total_bytes": 9 << 20}
CARD = {
    "cpu": "C", "isa": "amx", "threads": 2, "card": "H",
    "rows": [
        point("none", 10.0, batch=8, lengths={"prompt": 10, "output": 20}, **NEW),
        point("w4", 20.0, batch=8, lengths={"prompt": 10, "output": 20}, **{**NEW, "kv_layers": 1}),
        point("none", 10.0, budget_bytes=5 << 20, rule="reserved", kv_pages=10, **NEW),
        point("none", 20.0, budget_bytes=5 << 20, rule="demand", kv_pages=20, **NEW),
        point("w4", 60.0, budget_bytes=5 << 20, rule="demand", kv_pages=50, **NEW),
    ],
}
TRACE = {
    "card": "H",
    "rows": [{
        "bench": "serving-trace", "geometry": "g", "recipe": "w4", "rate": 1.5,
        "offered_per_second": 8.25, "holds": True, "output_tokens_per_second": 99.0,
        "ttft_ms": {"p50": 5.0, "p99": 6.0}, "itl_ms": {"p50": 7.0, "p99": 8.0}}],
}
LOAD = {
    "bench": "serve", "model": "m", "completed": 9, "requests": 10, "requests_per_second": 1.5,
    "goodput_per_second": 0.5, "output_tokens_per_second": 99.0,
    "ttft_ms": {"p50": 5.0, "p99": 6.0}, "itl_ms": {"p50": 7.0, "p99": 8.0},
}


class ServingTableTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        reports = {"recipes": RECIPES, "chat": LOAD, "card": CARD, "trace": TRACE}
        paths = [pathlib.Path(folder.name) / f"{name}.json" for name in reports]
        for path, report in zip(paths, reports.values()):
            path.write_text(json.dumps(report), encoding="utf-8")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            tool.main(paths)
        self.text = printed.getvalue()

    def test_each_point_is_held_against_none_at_the_same_point(self):
        self.assertIn("### Equal batches: C, avx2, 2 threads\n", self.text)
        self.assertIn("| g | 2 of 4 | w4 | 4 | × 0.25 | 1 | 30.0 | 3.00 | 1.2 / 20.0 |", self.text)
        self.assertIn("| g | 2 of 4 | w4 | 4 | × 0.25 | 4 | 50.0 | 1.25 | 1.2 / 20.0 |", self.text)

    def test_what_does_not_fit_is_said(self):
        self.assertIn("| none | 4 | × 0.25 | 5 MiB | 3 MiB | does not fit |", self.text)
        self.assertIn("| w4 | 4 | × 0.25 | 5 MiB | 3 MiB | 7.5 | 60.0 |  | 1.2 / 20.0 | 3 |", self.text)

    def test_rules_are_compared_each_for_itself_and_the_bound_is_said(self):
        self.assertIn("### Equal memory: H\n", self.text)
        self.assertIn("| 3 MiB | demand | 2.50 | 7.5 | 60.0 | 3.00 | 1.2 / 20.0 | 3 |", self.text)
        self.assertIn("| 3 MiB | reserved | 1.00 | 7.5 | 10.0 | 1.00 | 1.2 / 20.0 | 3 |", self.text)

    def test_fixed_lengths_and_shared_pages_are_said(self):
        row = "| w4 | 4 | 10/20 | 8, KV of one layer | 9 MiB | 20.0 | 2.00 | 1.2 / 20.0 |"
        self.assertIn(row, self.text)

    def test_trials_of_a_trace_are_rows(self):
        self.assertIn("### A trace: H\n", self.text)
        row = "| g | w4 | 1.50 | 8.25 | yes | 99.0 | 5.0 / 6.0 | 7.0 / 8.0 |"
        self.assertIn(row, self.text)

    def test_a_load_is_a_row(self):
        row = "| chat | m | 9 of 10 | 1.50 | 0.50 | 99.0 | 5.0 / 6.0 | 7.0 / 8.0 |"
        self.assertIn(row, self.text)

    def test_rows_have_a_cell_for_each_heading(self):
        for table in self.text.split("### ")[1:]:
            lines = [line for line in table.splitlines() if line.startswith("|")]
            self.assertEqual({line.count("|") for line in lines}, {lines[0].count("|")}, table)


if __name__ == "__main__":
    unittest.main()
