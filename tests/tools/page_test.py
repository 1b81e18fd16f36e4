"""The web page of `atom serve` in headless Chromium, driven through chromedriver: skipped where that
or the program is not there. Set ATOM to the program to test, by default build/src/atom/atom, and
PAGE_PICTURE to a file to keep a picture of the page with an answer."""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import unittest
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("ATOM", ROOT / "build/src/atom/atom"))
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # how WebDriver marks a reference to an element
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,800"]


class Browser:
    """As much of the WebDriver protocol as a person's hands and eyes need."""

    def __init__(self):
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started = re.compile(r"started successfully on port (\d+)")
        port = next(m[1] for line in self.driver.stdout if (m := started.search(line)))
        self.url = f"http://127.0.0.1:{port}"
        wait_until(self.is_ready, "chromedriver is not ready")
        browser = {"browserName": "chrome", "goog:chromeOptions": {"args": OPTIONS}}
        try:
            session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": browser}})
        except urllib.error.HTTPError as error:  # no localhost, no /dev/shm, no right to fork, …
            self.end_driver()
            message = json.load(error)["value"]["message"]
            raise unittest.SkipTest(f"chromium cannot be driven here: {message}") from None
        self.url += "/session/" + session["sessionId"]

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def is_ready(self):
        try:
            return self.ask("GET", "/status")["ready"]
        except OSError:
            return False

    def open(self, url):
        self.ask("POST", "/url", {"url": url})

    def find(self, selector):
        found = self.ask("POST", "/element", {"using": "css selector", "value": selector})
        return "/element/" + found[ELEMENT]

    def write(self, selector, text):
        element = self.find(selector)
        self.ask("POST", element + "/clear", {})
        self.ask("POST", element + "/value", {"text": text})

    def click(self, selector):
        self.ask("POST", self.find(selector) + "/click", {})

    def run(self, script):
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})

    def texts(self, selector):
        return self.run(
            f"return [...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)"
        )

    def picture(self):
        return base64.b64decode(self.ask("GET", "/screenshot"))

    def close(self):
        self.ask("DELETE", "")
        self.end_driver()

    def end_driver(self):
        self.driver.terminate()
        self.driver.communicate(timeout=30)


def wait_until(holds, sentence, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(sentence)
        time.sleep(0.05)


@unittest.skipIf(shutil.which("chromedriver") is None, "chromedriver is not installed")
@unittest.skipUnless(PROGRAM.exists(), f"{PROGRAM} is not built")
class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            [PROGRAM, "serve", ROOT / "models/atom-demo", "--port", "0", "--memory", "1GiB"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        cls.address = next(
            line.split()[-1] for line in cls.server.stdout if line.startswith("serving ")
        )
        cls.addClassCleanup(cls.end_server)
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    @classmethod
    def end_server(cls):
        cls.server.terminate()
        cls.server.communicate(timeout=60)
        assert cls.server.returncode == 0, "drained, it exits with 0"

    def setUp(self):
        self.browser.open(self.address)
        self.browser.write("#temperature", "0")

    def ask(self, text, tokens):
        self.browser.write("#max_tokens", str(tokens))
        self.browser.write("#text", text)
        self.browser.click("#send")

    def wait_for_note(self, count=1):
        notes = ".turn.assistant .note"
        wait_until(lambda: len(self.browser.texts(notes)) == count, "the answer did not end")
        return self.browser.texts(notes)[-1]

    def test_answers_and_goes_on(self):
        wait_until(lambda: "atom-demo" in self.browser.texts("#model")[0], "no model is named")
        self.ask("Tell me of the sea.", 24)
        self.assertRegex(self.wait_for_note(), r"^24 tokens, first after \d+ ms, [\d.]+ tokens/s")
        self.ask("And of the land?", 8)
        self.assertRegex(self.wait_for_note(2), "^8 tokens")
        self.assertEqual(len(self.browser.texts(".turn.user")), 2)
        roles = self.browser.run("return messages.map(m => m.role)")
        self.assertEqual(roles, 2 * ["user", "assistant"])
        self.browser.click("#clear")
        self.assertEqual(self.browser.texts(".turn"), [])

    def test_stop_ends_an_answer_and_keeps_what_came(self):
        self.ask("Tell me a long story.", 900)
        wait_until(lambda: len(self.browser.texts(".assistant")[0]) > 20, "no text came")
        self.assertEqual(self.browser.texts("#send"), ["Stop"])
        self.browser.click("#send")
        self.assertEqual(self.wait_for_note(), "stopped")
        wait_until(lambda: self.browser.texts("#send") == ["Send"], "nothing can be sent")
        self.ask("Go on.", 4)
        self.assertRegex(self.wait_for_note(2), "^4 tokens")

    def test_plots_move_while_it_writes(self):
        self.ask("Tell me of the mountains.", 400)
        # What a plot has shown stays in its series: the answer may end before it is looked at.
        for name in ("rate", "ttft", "itl"):
            points = f"return series.{name}.some(y => y > 0)"
            wait_until(lambda: self.browser.run(points), f"nothing in the plot of {name}")
        for name in ("#v-rate", "#v-kv", "#v-run"):
            self.assertRegex(self.browser.texts(name)[0], r"\d")
        for name in ("rate", "ttft", "itl", "kv", "run"):
            line = f"return document.querySelector('#p-{name} .line').getAttribute('d')"
            wait_until(lambda: "L" in self.browser.run(line), f"no line is drawn for {name}")
        self.wait_for_note()
        if "PAGE_PICTURE" in os.environ:
            pathlib.Path(os.environ["PAGE_PICTURE"]).write_bytes(self.browser.picture())

    def test_says_what_the_server_refuses(self):
        self.ask("Hello", 5)
        self.wait_for_note()
        self.browser.write("#temperature", "-1")
        self.ask("Hello again", 5)
        wait_until(lambda: self.browser.texts(".turn.error"), "the refusal is not shown")
        self.assertIn("temperature", self.browser.texts(".turn.error")[0])


if __name__ == "__main__":
    unittest.main()
