#!/usr/bin/env python3
"""What a schema made to stall an engine does to other people's streams.

Starts `atom serve MODEL`, reads some streams alone and then again while a client asks for answers by a
schema of 200 alternatives, of which nearly every token leaves others alive, one request after the other.
Prints the 99th percentile of the time between two tokens for both, as JSON.

    tools/hostile_schema.py build/src/atom/atom models/atom-demo
"""

import argparse
import http.client
import json
import subprocess
import threading
import time

HEADERS = {"Content-Type": "application/json"}


def schema(branches):
    letters = [chr(0x61 + i) if i < 26 else chr(0x4E00 + i) for i in range(branches)]
    return {"anyOf": [{"type": "string", "pattern": f"^[^{letter}]*$"} for letter in letters]}


class Server:
    def __init__(self, program, model, flags):
        command = [program, "serve", model, "--port", "0", "--no-log", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if line.startswith("serving "):
                self.port = int(line.rsplit(":", 1)[1])
                return
        raise SystemExit("the server did not start")

    def post(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("POST", "/v1/completions", json.dumps(body), HEADERS)
        return connection.getresponse()


def read_stream(server, number, tokens, gaps):
    answer = server.post(
        {"prompt": f"Once upon a time {number}", "max_tokens": tokens, "ignore_eos": True, "stream": True}
    )
    last = None
    for line in answer:
        if not line.startswith(b"data: {"):
            continue
        now = time.monotonic()
        if last is not None:
            gaps.append(now - last)
        last = now


def p99_of_streams(server, streams, tokens):
    gaps = [[] for _ in range(streams)]
    threads = [
        threading.Thread(target=read_stream, args=(server, i, tokens, gaps[i])) for i in range(streams)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = sorted(gap for each in gaps for gap in each)
    return everything[len(everything) * 99 // 100] * 1000


def ask_by_schema(server, branches, stop, ends):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema(branches)}}
    while not stop.is_set():
        start = time.monotonic()
        answer = server.post({"prompt": "x", "max_tokens": 16, "response_format": form})
        text = json.load(answer)
        ends.append(
            {
                "status": answer.status,
                "seconds": round(time.monotonic() - start, 3),
                "message": text.get("error", {}).get("message", ""),
            }
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--branches", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("flags", nargs="*", help="more flags of atom serve, behind --")
    arguments = parser.parse_args()
    server = Server(arguments.program, arguments.model, arguments.flags)
    alone, beside, ends = [], [], []
    for _ in range(arguments.rounds):
        alone.append(p99_of_streams(server, arguments.streams, arguments.tokens))
        stop = threading.Event()
        client = threading.Thread(target=ask_by_schema, args=(server, arguments.branches, stop, ends))
        client.start()
        beside.append(p99_of_streams(server, arguments.streams, arguments.tokens))
        stop.set()
        client.join()
    server.process.terminate()
    median = arguments.rounds // 2
    result = {
        "p99_ms_alone": round(sorted(alone)[median], 2),
        "p99_ms_beside": round(sorted(beside)[median], 2),
        "ratio": round(sorted(beside)[median] / sorted(alone)[median], 3),
        "schema_requests": len(ends),
        "first_end": ends[0] if ends else None,
    }
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
