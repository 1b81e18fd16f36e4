#!/usr/bin/env python3
"""Keeps `atom serve` busy with streams, some of which are given up, and checks its books afterwards.

    tools/soak_server.py build/src/atom/atom models/atom-demo --streams 64 --seconds 300

Starts the server itself. At the end it must still answer, nothing may be running or waiting, every
accepted request must be counted and logged once, and its memory must not have grown after the first
fifth of the time. Prints what it found; exit code 1 if something is wrong.
"""

import argparse
import collections
import http.client
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time


class Server:
    def __init__(self, program, model, log):
        self.process = subprocess.Popen(
            [program, "serve", model, "--port", "0", "--memory", "1GiB", "--max-sequences", "64"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        for line in self.process.stdout:
            if line.startswith("serving "):
                self.port = int(line.rsplit(":", 1)[1])
                return
        raise SystemExit("the server did not start")

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def counters(self):
        return dict(re.findall(r"^(\S+) (\S+)$", self.get("/metrics")[1], re.MULTILINE))


class Client(threading.Thread):
    def __init__(self, server, seed, end, tally):
        super().__init__()
        self.server, self.random, self.end, self.tally = server, random.Random(seed), end, tally

    def run(self):
        while time.monotonic() < self.end:
            try:
                self.tally[self.ask()] += 1
            except (OSError, http.client.HTTPException) as error:
                self.tally[f"failed: {error!r}"] += 1

    def ask(self):
        chance = self.random
        words = " ".join(chance.choice(["the", "sea", "old", "house"]) for _ in range(chance.randint(1, 300)))
        body = {"prompt": words, "max_tokens": chance.randint(1, 200), "stream": True, "seed": chance.randint(0, 9)}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=300)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        give_up = chance.random() < 0.4
        if give_up and chance.random() < 0.3:
            time.sleep(chance.random() * 0.05)
            connection.close()
            return "given up at once"
        answer = connection.getresponse()
        if answer.status != 200:
            return f"status {answer.status}"
        left = chance.randint(1, 50) if give_up else -1
        for line in answer:
            left -= line.startswith(b"data: ")
            if left == 0:
                connection.close()
                return "given up"
            if line.strip() == b"data: [DONE]":
                connection.close()
                return "done"
        return "failed: a stream without its end"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=300)
    options = parser.parse_args()

    with tempfile.TemporaryFile("w+") as log:
        server = Server(options.program, options.model, log)
        start = time.monotonic()
        tally = collections.Counter()
        clients = [Client(server, i, start + options.seconds, tally) for i in range(options.streams)]
        for client in clients:
            client.start()
        memory = []
        while any(client.is_alive() for client in clients):
            time.sleep(1)
            memory.append(server.memory())
        time.sleep(2)
        counters = server.counters()
        healthy = server.get("/health")[0] == 200
        server.process.terminate()
        code = server.process.wait(timeout=60)
        log.seek(0)
        lines = [line for line in log if "/v1/completions" in line]

    def total(name):
        return sum(int(float(v)) for k, v in counters.items() if k.startswith(name + "{"))

    ended = {
        re.search(r'finished_reason="(\w+)"', k).group(1): int(float(v))
        for k, v in counters.items()
        if k.startswith("vllm:request_success_total{")
    }
    accepted = total("atom:requests_accepted_total")
    early = max(memory[: max(1, len(memory) // 5)])
    logged = sum(not re.search(r" (4|5)\d\d ", line) for line in lines)
    busy = {k: float(v) for k, v in counters.items() if k.startswith("atom:engine_seconds_total{")}
    part = {re.search(r'in="(\w+)"', k).group(1): v for k, v in busy.items()}
    overhead = (part["schedule"] + part["publish"]) / sum(part.values())
    print("clients:", dict(tally))
    print(f"accepted {accepted}, ended {ended}, logged {logged}")
    print(f"memory: {early:.0f} MiB in the first fifth, {memory[-1]:.0f} MiB at the end")
    print(f"engine: schedule and publish {100 * overhead:.2f} % of the steps' time")
    problems = [key for key in tally if key.startswith(("failed", "status"))]
    if sum(ended.values()) != accepted:
        problems.append("requests are not accounted for")
    if logged < accepted:
        problems.append("requests are not in the log")
    if total("vllm:num_requests_running") or total("vllm:num_requests_waiting"):
        problems.append("something still runs or waits")
    if memory[-1] > 1.02 * early + 2:
        problems.append("memory grew")
    if not healthy or code != 0:
        problems.append(f"healthy: {healthy}, exit code {code}")
    print("problems:", problems or "none")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
