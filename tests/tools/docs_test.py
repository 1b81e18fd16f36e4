"""What the documents say of the tests: each that a table of docs/robustness.md names is there.

Names: `Suite.Test`, `Suite.Begin…`, `Suite.*`, `Suite.*part*`, `file_test.function`; a folder or a
file of tests.

Run: python3 -m unittest discover -s tests/tools -p "*_test.py"
"""

import fnmatch
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUITES = re.compile(r"^TEST(?:_F|_P)?\((\w+), (\w+)\)", re.MULTILINE)
FUNCTIONS = re.compile(r"^ +def (test_\w+)", re.MULTILINE)


def all_tests():
    names = set()
    for path in (ROOT / "tests").rglob("*_test.cc"):
        names.update(f"{suite}.{test}" for suite, test in SUITES.findall(path.read_text()))
    for path in (ROOT / "tests/tools").glob("*_test.py"):
        names.update(f"{path.stem}.{test}" for test in FUNCTIONS.findall(path.read_text()))
    return names


def named_in(document):
    """The code in the last column of each table that has a column "test"."""
    wanted = False
    for line in document.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            wanted = False
        elif cells[-1] == "test":
            wanted = True
        elif wanted:
            yield from re.findall(r"`([^`]+)`", cells[-1])


class DocsTest(unittest.TestCase):
    def test_named_tests_are_there(self):
        tests = all_tests()
        named = list(named_in((ROOT / "docs/robustness.md").read_text()))
        self.assertGreater(len(named), 50)
        for name in named:
            with self.subTest(name):
                if "/" in name:
                    self.assertTrue((ROOT / name).exists())
                else:
                    pattern = name.replace("…", "*")
                    self.assertTrue(fnmatch.filter(tests, pattern), "no such test")


if __name__ == "__main__":
    unittest.main()
