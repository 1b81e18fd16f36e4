#!/usr/bin/env python3
"""Times PyTorch's fp16 attention, every backend, on shapes of `atom bench attention --backend cuda`,
which gives ratios to the fastest of each with --sdpa FILE.json.

Needs PyTorch and a GPU. Prints a table and writes JSON:  attention_baselines.py [FILE.json]
"""
import json
import sys

import torch
import torch.nn.functional as functional
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION,
            "efficient": SDPBackend.EFFICIENT_ATTENTION}
# sequences, queries, positions, heads, KV heads, head_dim
CASES = [(128, 1, 1024, 32, 32, 128), (32, 1, 4096, 32, 8, 128), (1, 1, 4096, 32, 8, 128),
         (1, 1, 65536, 32, 8, 128), (1, 4096, 4096, 32, 8, 128), (4, 4096, 4096, 32, 8, 128),
         (1, 4096, 4096, 32, 32, 128), (64, 1, 1024, 40, 40, 128), (1, 4096, 4096, 40, 40, 128)]


def time_graph(function, launches=3, replays=9):
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(launches):
            function()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    times, spent = [], 0.0
    while spent < 60 or len(times) < replays:
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
        spent += times[-1]
    times = sorted(times[-replays:])
    return 1e3 * times[len(times) // 2] / launches


def main():
    results = []
    for sequences, queries, positions, heads, kv_heads, head_dim in CASES:
        def rows(count, length):
            return torch.randn(sequences, count, length, head_dim, device="cuda",
                               dtype=torch.float16)
        q, k, v = rows(heads, queries), rows(kv_heads, positions), rows(kv_heads, positions)
        for name, backend in BACKENDS.items():
            label = (f"sdpa {name} {sequences} x {positions} queries {queries} "
                     f"heads {heads}/{kv_heads} d{head_dim}")
            try:
                with sdpa_kernel(backend):
                    us = time_graph(lambda: functional.scaled_dot_product_attention(
                        q, k, v, is_causal=queries > 1, enable_gqa=heads != kv_heads))
            except RuntimeError as error:
                print(f"{label:<62} refused: {str(error).splitlines()[0][:60]}")
                continue
            shape = (f"{'prefill' if queries > 1 else 'decode'} {sequences} x {positions} "
                     f"heads {heads}/{kv_heads} d{head_dim}")
            results.append({"case": label, "shape": shape, "us": round(us, 3)})
            print(f"{label:<62} {us:9.2f} us", flush=True)
        del q, k, v
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            json.dump({"device": torch.cuda.get_device_name(), "cases": results}, file, indent=1)


if __name__ == "__main__":
    main()
