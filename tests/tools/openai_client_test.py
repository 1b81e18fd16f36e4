"""The official `openai` client against `atom serve`: skipped where the client or the program is not
there. Set ATOM to the program to test; by default build/src/atom/atom."""

import json
import os
import pathlib
import subprocess
import unittest

try:
    import openai
except ImportError:
    openai = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("ATOM", ROOT / "build/src/atom/atom"))
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["cat", "dog"]},
    },
    "required": ["name", "age", "kind"],
    "additionalProperties": False,
}


@unittest.skipIf(openai is None, "the openai package is not installed")
@unittest.skipUnless(PROGRAM.exists(), f"{PROGRAM} is not built")
class OpenAiClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            [PROGRAM, "serve", ROOT / "models/atom-demo", "--port", "0", "--memory", "1GiB"],
            env={**os.environ, "ATOM_API_KEY": "secret"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in cls.server.stdout:
            if line.startswith("serving "):
                cls.url = line.split()[-1]
                break
        else:
            raise RuntimeError("the server did not start")
        cls.client = openai.OpenAI(base_url=cls.url + "/v1", api_key="secret", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.communicate(timeout=60)
        assert cls.server.returncode == 0, "drained, it exits with 0"

    def complete(self, **changes):
        request = {"model": "atom-demo", "prompt": "It was a fine", "max_tokens": 12, "temperature": 0}
        return self.client.completions.create(**{**request, **changes})

    def chat(self, **changes):
        messages = [{"role": "user", "content": "What is the weather like?"}]
        request = {"model": "atom-demo", "messages": messages, "max_tokens": 12, "temperature": 0}
        return self.client.chat.completions.create(**{**request, **changes})

    def test_models(self):
        self.assertEqual([model.id for model in self.client.models.list()], ["atom-demo"])
        self.assertEqual(self.client.models.retrieve("atom-demo").id, "atom-demo")

    def test_completion_streams_what_it_gives_at_once(self):
        whole = self.complete()
        stream = list(self.complete(stream=True, stream_options={"include_usage": True}))
        text = "".join(part.choices[0].text for part in stream if part.choices)
        self.assertEqual(text, whole.choices[0].text)
        self.assertEqual(whole.choices[0].finish_reason, "length")
        self.assertEqual(whole.usage.completion_tokens, 12)
        self.assertEqual(stream[-1].usage.completion_tokens, 12)

    def test_chat_streams_what_it_gives_at_once(self):
        whole = self.chat()
        parts = [part.choices[0].delta.content or "" for part in self.chat(stream=True)]
        self.assertEqual("".join(parts), whole.choices[0].message.content)
        self.assertEqual(whole.choices[0].message.role, "assistant")

    def test_logprobs(self):
        logprobs = self.complete(logprobs=3).choices[0].logprobs
        self.assertEqual(len(logprobs.tokens), 12)
        for token, value, top in zip(
            logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs
        ):
            self.assertAlmostEqual(max(top.values()), value, places=5)
            self.assertIn(token, top)
        content = self.chat(logprobs=True, top_logprobs=2).choices[0].logprobs.content
        self.assertEqual(len(content), 12)
        self.assertEqual([len(token.top_logprobs) for token in content], [2] * 12)

    def test_echo_scores_the_prompt(self):
        choice = self.complete(echo=True, logprobs=0, max_tokens=0).choices[0]
        self.assertEqual(choice.text, "It was a fine")
        self.assertIsNone(choice.logprobs.token_logprobs[0])
        self.assertTrue(all(value < 0 for value in choice.logprobs.token_logprobs[1:]))

    def test_several_answers_and_prompts(self):
        answers = self.complete(prompt=["One", "Two"], n=2, temperature=1, seed=5)
        self.assertEqual([choice.index for choice in answers.choices], [0, 1, 2, 3])
        again = self.complete(prompt=["One", "Two"], n=2, temperature=1, seed=5)
        self.assertEqual(
            [choice.text for choice in answers.choices], [choice.text for choice in again.choices]
        )

    def test_stop(self):
        text = self.complete(max_tokens=40).choices[0].text
        stop = text[10:14]
        choice = self.complete(max_tokens=40, stop=[stop]).choices[0]
        self.assertEqual(choice.text, text[: text.index(stop)])
        self.assertEqual(choice.finish_reason, "stop")

    def test_json_schema(self):
        form = {"type": "json_schema", "json_schema": {"name": "pet", "schema": SCHEMA}}
        for seed in range(4):
            answer = self.chat(response_format=form, max_tokens=200, temperature=1, seed=seed)
            self.assertEqual(answer.choices[0].finish_reason, "stop")
            pet = json.loads(answer.choices[0].message.content)
            self.assertEqual(list(pet), ["name", "age", "kind"])
            self.assertLessEqual(len(pet["name"]), 12)
            self.assertIn(pet["age"], range(151))
            self.assertIn(pet["kind"], ["cat", "dog"])

    def test_errors(self):
        with self.assertRaises(openai.NotFoundError):
            self.complete(model="another")
        with self.assertRaises(openai.BadRequestError) as raised:
            self.complete(temperature=-1)
        self.assertEqual(raised.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError):
            self.complete(prompt=[1] * 5000)
        with self.assertRaises(openai.BadRequestError):
            self.chat(
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"not": {}}},
                }
            )
        stranger = openai.OpenAI(base_url=self.url + "/v1", api_key="wrong", max_retries=0)
        with self.assertRaises(openai.AuthenticationError):
            stranger.models.list()


if __name__ == "__main__":
    unittest.main()
