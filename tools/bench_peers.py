#!/usr/bin/env python3
"""Atom beside llama.cpp and ik_llama.cpp: one geometry with random weights, one machine, in turns.

    tools/bench_peers.py tinyllama-1.1b --threads 2 --rounds 3 --json FILE \\
      --atom build/src/atom/atom --llama-bench PATH --ik-llama-bench PATH

--atom-types Q4_0 has Atom run the peers' own files, too (--presets "": nothing else). Each program is
optional; those that are given take turns: in every round each test is run by one after
the other, so that a machine that slows down does so for all of them. A rate is the median of the
rounds, a ratio the median of the ratios within rounds. Tests are named as in `atom bench model`: ppN, tgN,
tg@DEPTH. The peers read GGUF files (tools/random_gguf.py, which needs gguf 0.17.1) that are written
into --models and left there. Prints the tables of tools/peers_table.py. Who fails is left out from then
on, and named at the end: exit status 1.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import peers_table
from random_checkpoint import GEOMETRIES

PRESETS = "atom-w4a4,atom-best,atom-w4a8,w4a16"
DEEP_TOKENS = 32  # steps behind a depth, as `atom bench model` takes them
MODEL = "MODEL"  # in command lines as they are shown


class Failed(Exception):
    """One sentence: who, and why."""


@dataclasses.dataclass(frozen=True)
class Test:
    name: str
    prefill: bool
    tokens: int
    depth: int = 0


def parse_test(name):
    match = re.fullmatch(r"(pp|tg)(@?)([1-9]\d*)", name)
    if not match or match[1] + match[2] == "pp@":
        raise argparse.ArgumentTypeError(f'test "{name}": expected ppN, tgN or tg@DEPTH')
    kind, deep, number = match[1], match[2], int(match[3])
    return Test(name, kind == "pp", DEEP_TOKENS if deep else number, number if deep else 0)


# ---- The programs: command lines, and what they print -------------------------------------------


@dataclasses.dataclass(frozen=True)
class Program:
    """`arguments(test)` follow the flags that name model and threads; `read(report)` gives
    (tokens per second, what is to be known of the program)."""

    name: str
    path: str
    fixed: tuple
    arguments: object
    read: object


def atom_arguments(test):
    return ("--tests", test.name)


def read_atom(report):
    (row,) = report["rows"]
    return row["tokens_per_second"], {"kv": f"{row['kv_bits']} bits", "isa": row["isa"]}


def llama_arguments(test):
    if test.prefill:  # twice: the first warms up
        return ("-p", str(test.tokens), "-n", "0", "-r", "2")
    depth = ("-d", str(test.depth)) if test.depth else ()
    return ("-p", "0", "-n", str(test.tokens), *depth, "-r", "1")


def ik_arguments(test):
    if not test.depth:
        return llama_arguments(test)
    return ("-p", "0", "-n", "0", "-gp", f"{test.depth},{test.tokens}", "-r", "1")


def read_llama_bench(report):
    (row,) = report
    about = {"kv": row["type_k"], "commit": row["build_commit"], "weight_bytes": row["model_size"]}
    return row["samples_ts"][-1], about


def programs_of(flags):
    """Those that are given."""
    threads = str(flags.threads)
    layers = ("--layers", str(flags.layers)) if flags.layers else ()
    atom = ("bench", "model", flags.geometry, "--recipe", MODEL, *layers, "--threads", threads,
            "--repeats", "1", "--json", "-")  # fmt: skip
    peer = ("-m", MODEL, "-t", threads, "-o", "json")
    given = [
        Program("atom", flags.atom, atom, atom_arguments, read_atom),
        Program("llama.cpp", flags.llama_bench, (*peer, *shlex.split(flags.llama_flags)),
                llama_arguments, read_llama_bench),
        Program("ik_llama.cpp", flags.ik_llama_bench, (*peer, *shlex.split(flags.ik_llama_flags)),
                ik_arguments, read_llama_bench),
    ]  # fmt: skip
    return [program for program in given if program.path]


def stored(atom):
    """The same program on a GGUF file, whose weights it runs as they are."""
    return dataclasses.replace(
        atom, fixed=("bench", "model", MODEL, *atom.fixed[atom.fixed.index("--threads") :])
    )


@dataclasses.dataclass(frozen=True)
class Contestant:
    program: Program
    model: str  # a preset's name, or a type of GGUF file
    source: str  # what the program is given for it

    @property
    def name(self):
        return f"{self.program.name} {self.model}"

    def command(self, test):
        line = (*self.program.fixed, *self.program.arguments(test))
        return [self.program.path, *(self.source if word == MODEL else word for word in line)]

    def measure(self, test, timeout):
        command = self.command(test)
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                                 check=False)  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name}, {test.name}: not done after {timeout:g} s") from None
        if run.returncode != 0:
            said = run.stderr.strip().splitlines() or ["nothing on stderr"]
            raise Failed(f"{self.name}, {test.name}: exit status {run.returncode}: {said[-1]}")
        try:
            return self.program.read(json.loads(run.stdout))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Failed(f"{self.name}, {test.name}: expected a JSON report of one row, found "
                         f"{run.stdout[:60]!r} ({type(error).__name__}: {error})") from None  # fmt: skip


# ---- In turns ------------------------------------------------------------------------------------


def take_turns(contestants, tests, rounds, timeout):
    """One entry a contestant: its rates of each test, a value a round."""
    entries = {
        c.name: {"program": c.program.name, "model": c.model, "rates": {t.name: [] for t in tests}}
        for c in contestants
    }
    for turn in range(rounds):
        for test in tests:
            for contestant in contestants:
                entry = entries[contestant.name]
                if "error" in entry:
                    continue
                try:
                    rate, about = contestant.measure(test, timeout)
                except Failed as error:
                    entry["error"] = str(error)
                    print(error, file=sys.stderr)
                    continue
                entry["rates"][test.name].append(rate)
                entry.update(about)
                print(f"round {turn + 1} of {rounds}, {test.name}, {contestant.name}: {rate:.1f} "
                      "tokens/s", file=sys.stderr)  # fmt: skip
    return list(entries.values())


def commit_of(path):
    """Of the working tree that a program was built in, or its version."""
    folder = pathlib.Path(path).resolve().parent

    def output(*command):
        try:
            run = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:  # no git here
            return ""
        return run.stdout.strip() if run.returncode == 0 else ""

    commit = output("git", "-C", str(folder), "rev-parse", "--short", "HEAD")
    changed = output("git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no")
    if commit:
        return commit + ("-dirty" if changed else "")
    return (output(path, "--version").splitlines() or ["unknown"])[0]


def cpu_name():
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown processor"


def write_model(folder, geometry, layers, file_type):
    """The path of such a GGUF file; one that is there already is taken."""
    shortened = f"-{layers}-layers" if layers else ""
    path = pathlib.Path(folder) / f"{geometry}{shortened}-{file_type}.gguf"
    if not path.exists():
        import random_gguf  # only here: Atom alone needs no gguf

        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        random_gguf.write(unfinished, GEOMETRIES[geometry], file_type, layers)
        unfinished.rename(path)
    return str(path)


def find_contestants(programs, flags, models):
    for program in programs:
        if program.name == "atom":
            yield from (Contestant(program, name, name) for name in flags.presets.split(",") if name)
            for file_type in filter(None, flags.atom_types.split(",")):
                source = write_model(models, flags.geometry, flags.layers, file_type)
                yield Contestant(stored(program), file_type, source)
            continue
        for file_type in flags.types.split(","):
            source = write_model(models, flags.geometry, flags.layers, file_type)
            yield Contestant(program, file_type, source)


def command_lines(contestants, tests):
    """By program, and apart where Atom runs the peers' files: a line a test."""
    shown = {"atom": "atom", "llama.cpp": "llama-bench", "ik_llama.cpp": "llama-bench"}
    lines = {}
    for program in (contestant.program for contestant in contestants):
        runs_files = program.name == "atom" and "--recipe" not in program.fixed
        lines["atom, GGUF" if runs_files else program.name] = {
            test.name: shlex.join([shown[program.name], *program.fixed, *program.arguments(test)])
            for test in tests
        }
    return lines


def measure(flags):
    programs = programs_of(flags)
    with contextlib.ExitStack() as stack:
        models = flags.models or stack.enter_context(tempfile.TemporaryDirectory())
        contestants = list(find_contestants(programs, flags, models))
        entries = take_turns(contestants, flags.tests, flags.rounds, flags.timeout)
    for entry in entries:
        if entry["program"] == "atom":
            entry["commit"] = commit_of(flags.atom)
    return {
        "geometry": flags.geometry,
        "layers": flags.layers or GEOMETRIES[flags.geometry][2],
        "model_layers": GEOMETRIES[flags.geometry][2],
        "cpu": cpu_name(),
        "threads": flags.threads,
        "rounds": flags.rounds,
        "tests": [test.name for test in flags.tests],
        "commands": command_lines(contestants, flags.tests),
        "entries": entries,
    }


# ---- Flags ---------------------------------------------------------------------------------------


def executable(path):
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        raise argparse.ArgumentTypeError(f'"{path}" is not a program')
    return os.path.abspath(path)


def writable(path):
    """Known before minutes of measuring, not after them; leaves no empty file behind."""
    file = pathlib.Path(path)
    was_there = file.exists()
    try:
        file.open("a", encoding="utf-8").close()
        if not was_there:
            file.unlink()
    except OSError as error:
        raise argparse.ArgumentTypeError(f'"{path}": {error.strerror}') from error
    return path


def positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'"{text}": expected a whole number from 1 on')
    return int(text)


def parse_flags(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("geometry", nargs="?", choices=GEOMETRIES, default="tinyllama-1.1b")
    parser.add_argument("--atom", type=executable)
    parser.add_argument("--llama-bench", type=executable, help="of llama.cpp")
    parser.add_argument("--ik-llama-bench", type=executable, help="of ik_llama.cpp")
    parser.add_argument("--presets", default=PRESETS, help=f"of Atom; {PRESETS}")
    parser.add_argument("--atom-types", default="", help="of GGUF files that Atom runs, too; none")
    parser.add_argument("--types", default="Q4_0,Q4_K_M", help="of GGUF files; Q4_0,Q4_K_M")
    parser.add_argument("--tests", default="pp512,tg128,tg@2048",
                        type=lambda text: [parse_test(name) for name in text.split(",")])  # fmt: skip
    parser.add_argument("--threads", type=positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--layers", type=positive, default=0, help="only so many")
    parser.add_argument("--llama-flags", default="-fa 1", help='"-fa 1"')
    parser.add_argument("--ik-llama-flags", default="-fa 1 -rtr 1", help='"-fa 1 -rtr 1"')
    parser.add_argument("--models", help="folder of the GGUF files; a temporary one")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds of one measurement; 900")
    parser.add_argument("--json", type=writable, help="write what was measured here")
    flags = parser.parse_args(arguments)
    if not programs_of(flags):
        parser.error("expected --atom, --llama-bench or --ik-llama-bench")
    return flags


def main(arguments):
    flags = parse_flags(arguments)
    report = measure(flags)
    if flags.json:
        text = json.dumps(report, indent=1) + "\n"
        pathlib.Path(flags.json).write_text(text, encoding="utf-8")
    peers_table.print_tables(report)
    return 1 if any("error" in entry for entry in report["entries"]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
