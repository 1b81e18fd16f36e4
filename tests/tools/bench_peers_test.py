"""tools/bench_peers.py with programs that only print what Atom's bench and llama-bench print.

Run: python3 -m unittest discover -s tests/tools -p "*_test.py"
"""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import bench_peers as tool  # noqa: E402
import peers_table  # noqa: E402

# Each notes its arguments in calls.txt beside it; its n-th run gives RATES[n], again from the start
# when they are used up.
PROGRAM = """#!{python} -ISE
import json, pathlib, sys
calls = pathlib.Path(__file__).with_name("calls.txt")
with calls.open("a") as file:
    file.write("{name} " + " ".join(sys.argv[1:]) + "\\n")
count = sum(line.startswith("{name} ") for line in calls.read_text().splitlines())
rates = {rates}
rate = rates[(count - 1) % len(rates)]
{body}
"""
ATOM = 'print(json.dumps({"rows": [{"tokens_per_second": rate, "kv_bits": 4, "isa": "avx2"}]}))'
PEER = """print(json.dumps([{"samples_ts": [1.0, rate], "type_k": "f16", "model_size": 5,
                   "build_commit": "abc123"}]))"""
FAILING = 'print("loading"); print("no such\\nmodel: m", file=sys.stderr); sys.exit(3)'
TYPE = "Q4_0"


class BenchPeersTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for file_type in ("Q4_0", "Q4_K_M"):  # there already, so none is made
            (self.folder / f"tinyllama-1.1b-{file_type}.gguf").touch()

    def program(self, name, rates, body):
        path = self.folder / name
        path.write_text(PROGRAM.format(python=sys.executable, name=name, rates=rates, body=body))
        path.chmod(0o755)
        return str(path)

    def run_tool(self, *arguments, types=TYPE):
        json_path = self.folder / "report.json"
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = tool.main(["--threads", "2", "--types", types, "--models", str(self.folder),
                              "--json", str(json_path), *arguments])  # fmt: skip
        return code, out.getvalue(), err.getvalue(), json.loads(json_path.read_text())

    def calls(self):
        lines = (self.folder / "calls.txt").read_text().splitlines()
        return [line for line in lines if not line.endswith(" --version")]

    def refusal(self, *arguments):
        err = io.StringIO()
        with contextlib.redirect_stderr(err), self.assertRaises(SystemExit) as refused:
            tool.main(list(arguments))
        self.assertEqual(refused.exception.code, 2)
        return err.getvalue()

    def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(self):
        message = self.refusal("--atom", self.program("atom", [1.0], ATOM),
                               "--json", str(self.folder / "none" / "report.json"))  # fmt: skip
        self.assertIn('report.json": No such file or directory', message)
        self.assertFalse((self.folder / "calls.txt").exists())

    def test_a_refusal_leaves_no_empty_report(self):
        report = self.folder / "report.json"
        self.refusal("--json", str(report), "--atom", str(self.folder))
        self.assertFalse(report.exists())

    def test_the_folder_of_models_is_made(self):
        made = []
        with unittest.mock.patch.dict(sys.modules, {"random_gguf": unittest.mock.Mock(
                write=lambda path, *_: (made.append(path.parent.is_dir()), path.touch()))}):  # fmt: skip
            path = tool.write_model(self.folder / "new" / "models", "tinyllama-1.1b", 2, "Q4_0")
        self.assertEqual(made, [True])
        self.assertTrue(pathlib.Path(path).exists())

    def test_programs_take_turns_with_their_own_words_for_each_test(self):
        code, _, _, report = self.run_tool(
            "--atom", self.program("atom", [10.0], ATOM), "--presets", "atom-w4a4",
            "--llama-bench", self.program("llama", [10.0], PEER),
            "--ik-llama-bench", self.program("ik", [10.0], PEER), "--ik-llama-flags=-rtr 1",
            "--tests", "pp8,tg4,tg@64", "--rounds", "2")  # fmt: skip
        self.assertEqual(code, 0)
        atom = "atom bench model tinyllama-1.1b --recipe atom-w4a4 --threads 2 --repeats 1 --json -"
        gguf = self.folder / "tinyllama-1.1b-Q4_0.gguf"
        llama = f"llama -m {gguf} -t 2 -o json -fa 1"
        ik = f"ik -m {gguf} -t 2 -o json -rtr 1"
        turn = [
            f"{atom} --tests pp8", f"{llama} -p 8 -n 0 -r 2", f"{ik} -p 8 -n 0 -r 2",
            f"{atom} --tests tg4", f"{llama} -p 0 -n 4 -r 1", f"{ik} -p 0 -n 4 -r 1",
            f"{atom} --tests tg@64", f"{llama} -p 0 -n 32 -d 64 -r 1",
            f"{ik} -p 0 -n 0 -gp 64,32 -r 1",
        ]  # fmt: skip
        self.assertEqual(self.calls(), turn + turn)
        shown = report["commands"]["ik_llama.cpp"]["tg@64"]
        self.assertEqual(shown, "llama-bench -m MODEL -t 2 -o json -rtr 1 -p 0 -n 0 -gp 64,32 -r 1")

    def test_atom_runs_the_files_of_its_peers(self):
        code, _, _, report = self.run_tool(
            "--atom", self.program("atom", [12.0], ATOM), "--presets", "", "--atom-types", "Q4_0",
            "--llama-bench", self.program("llama", [10.0], PEER),
            "--tests", "tg4", "--rounds", "1")  # fmt: skip
        self.assertEqual(code, 0)
        gguf = self.folder / "tinyllama-1.1b-Q4_0.gguf"
        atom = f"atom bench model {gguf} --threads 2 --repeats 1 --json - --tests tg4"
        self.assertEqual(self.calls(), [atom, f"llama -m {gguf} -t 2 -o json -fa 1 -p 0 -n 4 -r 1"])
        self.assertEqual([(e["program"], e["model"]) for e in report["entries"]],
                         [("atom", "Q4_0"), ("llama.cpp", "Q4_0")])  # fmt: skip
        shown = report["commands"]["atom, GGUF"]["tg4"]
        self.assertEqual(shown, "atom bench model MODEL --threads 2 --repeats 1 --json - --tests tg4")

    def test_rates_are_medians_and_ratios_medians_within_rounds(self):
        # Medians 20 and 5 would give 4; within rounds it is 10, 4, 2 for the first test.
        code, out, _, report = self.run_tool(
            "--atom", self.program("atom", [10.0, 5.0, 20.0, 5.0, 80.0, 60.0], ATOM),
            "--presets", "w4a16", "--llama-bench", self.program("llama", [1, 5, 5, 5, 40, 5], PEER),
            "--tests", "tg8,tg@64")  # fmt: skip
        self.assertEqual(code, 0)
        self.assertEqual(report["entries"][0]["rates"], {"tg8": [10, 20, 80], "tg@64": [5, 5, 60]})
        row = "| w4a16 | 4 bits | 20.0 (10.0 to 80.0) | 5.0 (5.0 to 60.0) | 0.50 (0.25 to 0.75) |"
        self.assertIn(row, out)
        self.assertIn("| llama.cpp | abc123 | Q4_0 | f16 | 5.0 (1.0 to 40.0) |", out)
        row = "| w4a16 | llama.cpp Q4_0 | 4.00 (2.00 to 10.00) | 1.00 (1.00 to 12.00) |"
        self.assertIn(row, out)

    def test_tables_have_a_cell_for_each_heading_and_come_again_from_the_file(self):
        _, out, _, _ = self.run_tool(
            "--atom", self.program("atom", [2.0], ATOM), types="Q4_0,Q4_K_M",
            *("--llama-bench", self.program("llama", [1.0], PEER), "--rounds", "1"))  # fmt: skip
        tables = [t for t in out.split("\n\n") if t.startswith("|")]
        self.assertEqual([len(table.splitlines()) - 2 for table in tables], [4 + 2, 4 * 2])
        for table in tables:
            lines = table.splitlines()
            self.assertEqual({line.count("|") for line in lines}, {lines[0].count("|")}, table)
        again = io.StringIO()
        with contextlib.redirect_stdout(again):
            peers_table.main([self.folder / "report.json"])
        self.assertEqual(again.getvalue(), out)

    def test_a_program_that_is_not_given_is_left_out(self):
        code, out, _, report = self.run_tool(
            "--llama-bench", self.program("llama", [1.0], PEER), "--tests", "pp8", "--rounds", "1")
        self.assertEqual(code, 0)
        self.assertEqual([e["program"] for e in report["entries"]], ["llama.cpp"])
        self.assertNotIn("atom", out)
        self.assertIn("expected --atom, --llama-bench or --ik-llama-bench", self.refusal())

    def test_a_path_that_is_no_program_is_refused(self):
        for path in (self.folder / "missing", self.folder, self.folder / "tinyllama-1.1b-Q4_0.gguf"):
            self.assertIn(f'"{path}" is not a program', self.refusal("--llama-bench", str(path)))

    def test_wrong_tests_are_refused(self):
        for name in ("pp0", "pp@8", "tg", "xx8", "tg@8x2"):
            self.assertIn(f'test "{name}"', self.refusal("--tests", f"pp8,{name}"))

    def test_who_fails_is_named_and_the_others_go_on(self):
        code, out, err, report = self.run_tool(
            "--atom", self.program("atom", [10.0], ATOM), "--presets", "atom-w4a4",
            "--llama-bench", self.program("llama", [1.0], FAILING),
            "--ik-llama-bench", self.program("ik", [5.0], PEER), "--tests", "pp8,tg4")  # fmt: skip
        self.assertEqual(code, 1)
        sentence = "llama.cpp Q4_0, pp8: exit status 3: model: m"
        self.assertIn(sentence, err)
        self.assertIn(f"Failed: {sentence}", out)
        self.assertEqual(report["entries"][1]["error"], sentence)
        self.assertEqual(sum(call.startswith("llama ") for call in self.calls()), 1)
        self.assertEqual(report["entries"][2]["rates"], {"pp8": [5.0] * 3, "tg4": [5.0] * 3})
        self.assertIn("| atom-w4a4 | ik_llama.cpp Q4_0 | 2.00 (2.00 to 2.00) |", out)
        self.assertNotIn("| atom-w4a4 | llama.cpp", out)

    def test_what_is_no_report_is_said(self):
        for body, found in (
            ("print('pp8: fast')", "pp8: fast"),
            ("print('[]')", "[]"),
            ("print('[{}]')", "KeyError"),
            (PEER.replace("[1.0, rate]", "[]"), "IndexError"),
        ):
            with self.subTest(body):
                code, out, _, _ = self.run_tool(
                    "--llama-bench", self.program("llama", [1.0], body), "--tests", "pp8")
                self.assertEqual(code, 1)
                self.assertIn("expected a JSON report of one row", out)
                self.assertIn(found, out)

    def test_a_program_that_hangs_is_ended(self):
        body = "import time; time.sleep(60)"
        code, out, _, _ = self.run_tool("--llama-bench", self.program("llama", [1.0], body),
                                        "--tests", "pp8", "--timeout", "0.5")  # fmt: skip
        self.assertEqual(code, 1)
        self.assertIn("llama.cpp Q4_0, pp8: not done after 0.5 s", out)


if __name__ == "__main__":
    unittest.main()
