#!/usr/bin/env python3
"""oneDNN's fp32 product beside OpenBLAS's, on one thread, in the shapes that calibration asks for
(src/atom/quant/sgemm.h cuts products into such tiles and gives each to one thread):

    python3 tools/sgemm_baselines.py [--openblas LIBRARY] [--onednn LIBRARY]

Libraries: libdnnl.so.2 (Debian: libdnnl2) and libopenblas.so.0 (libopenblas0-serial). Both run in turn,
repeat after repeat; a time is the median of a thread's processor time, so that what else runs on the
machine counts little. Prints a table with GFLOP/s of both and OpenBLAS's time over oneDNN's."""

import argparse
import ctypes
import os
import statistics
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before they are loaded
import numpy as np  # noqa: E402

# What it is for, transposed a and b, m, n, k.
SHAPES = [
    ("Gram, a window", True, False, 192, 192, 2048),
    ("Gram, many windows", True, False, 192, 192, 16384),
    ("GPTQ, columns to come", False, False, 256, 512, 128),
    ("correction", False, True, 256, 512, 4096),
    ("Cholesky, update", False, True, 128, 512, 128),
]
REPEATS = 15
CBLAS_ROW_MAJOR, CBLAS_NO, CBLAS_TRANS = 101, 111, 112


def pointer(array):
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def onednn(library):
    gemm = ctypes.CDLL(library).dnnl_sgemm
    gemm.argtypes = [ctypes.c_char, ctypes.c_char] + [ctypes.c_int64] * 3
    gemm.argtypes += [ctypes.c_float, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64]
    gemm.argtypes += [ctypes.c_float, ctypes.c_void_p, ctypes.c_int64]

    def run(ta, tb, m, n, k, a, b, c):
        status = gemm(
            b"T" if ta else b"N", b"T" if tb else b"N", m, n, k, 1.0,
            pointer(a), a.shape[1], pointer(b), b.shape[1], 0.0, pointer(c), n,
        )  # fmt: skip
        assert status == 0

    return run


def openblas(library):
    gemm = ctypes.CDLL(library).cblas_sgemm
    gemm.restype = None
    gemm.argtypes = [ctypes.c_int] * 6
    gemm.argtypes += [ctypes.c_float, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
    gemm.argtypes += [ctypes.c_float, ctypes.c_void_p, ctypes.c_int]

    def run(ta, tb, m, n, k, a, b, c):
        gemm(
            CBLAS_ROW_MAJOR, CBLAS_TRANS if ta else CBLAS_NO, CBLAS_TRANS if tb else CBLAS_NO, m, n, k,
            1.0, pointer(a), a.shape[1], pointer(b), b.shape[1], 0.0, pointer(c), n,
        )  # fmt: skip

    return run


def seconds(run, arguments, calls):
    start = time.thread_time()
    for _ in range(calls):
        run(*arguments)
    return (time.thread_time() - start) / calls


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--openblas", default="libopenblas.so.0")
    parser.add_argument("--onednn", default="libdnnl.so.2")
    flags = parser.parse_args()
    libraries = [onednn(flags.onednn), openblas(flags.openblas)]
    random = np.random.default_rng(1)
    print("| product | m × n × k | oneDNN, GFLOP/s | OpenBLAS, GFLOP/s | time, OpenBLAS / oneDNN |")
    print("| --- | --- | ---: | ---: | ---: |")
    for name, ta, tb, m, n, k in SHAPES:
        a = random.standard_normal((k, m) if ta else (m, k), dtype=np.float32)
        b = random.standard_normal((n, k) if tb else (k, n), dtype=np.float32)
        results = [np.zeros((m, n), dtype=np.float32) for _ in libraries]
        calls = max(1, int(2e9 / (2.0 * m * n * k)))
        times = [[], []]
        for repeat in range(REPEATS + 1):
            for which, run in enumerate(libraries):
                measured = seconds(run, (ta, tb, m, n, k, a, b, results[which]), calls)
                if repeat > 0:  # the first warms up
                    times[which].append(measured)
        np.testing.assert_allclose(results[0], results[1], rtol=1e-3, atol=1e-3 * k**0.5)
        medians = [statistics.median(values) for values in times]
        rates = [2.0 * m * n * k / value / 1e9 for value in medians]
        print(f"| {name} | {m} × {n} × {k} | {rates[0]:.0f} | {rates[1]:.0f} | "
              f"{medians[1] / medians[0]:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()
