#!/usr/bin/env python3
"""Writes src/atom/kernels/cuda/ptx/wgmma_shapes.h: one function object per wgmma shape and type.

    tools/wgmma_header.py > src/atom/kernels/cuda/ptx/wgmma_shapes.h

An asm statement names every register of its accumulator, up to 128 of them: that is nothing to
write, or to read, by hand.
"""

HEADER = """\
// Written by tools/wgmma_header.py; see wgmma.h for what these are.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/ptx/wgmma_types.h"

namespace atom::kernels::cuda::ptx {
"""

# name: (PTX type of A, PTX type of B, PTX type of D, C++ type of D, K of one instruction)
TYPES = {
    "S8S8": ("s8", "s8", "s32", "int32_t", 32),
    "U8S8": ("u8", "s8", "s32", "int32_t", 32),
    "E4M3E4M3": ("e4m3", "e4m3", "f32", "float", 32),
    "F16F16": ("f16", "f16", "f32", "float", 16),
    "BF16BF16": ("bf16", "bf16", "f32", "float", 16),
}
# The numbers of columns (N) that kernels use.
REGISTER_A = {
    "S8S8": (8, 16, 32, 64, 96, 128, 192, 256),
    "U8S8": (8, 16, 32, 64, 96, 128, 192, 256),
    "E4M3E4M3": (64, 128, 256),
    "F16F16": (8, 16, 32, 64, 80, 96, 128, 192, 256),
    "BF16BF16": (8, 16, 32, 64, 96, 128, 192, 256),
}
SHARED_A = {
    "S8S8": (64, 128, 256),
    "E4M3E4M3": (64, 128, 256),
    "F16F16": (8, 16, 32, 64, 96, 128, 192, 256),
    "BF16BF16": (8, 16, 32, 64, 96, 128, 192, 256),
}


def wrap(words, indent, last=""):
    """Joins words by commas into lines of at most 100 columns."""
    lines, line = [], ""
    for i, word in enumerate(words):
        piece = word + (", " if i + 1 < len(words) else last)
        if len(indent) + len(line) + len(piece.rstrip()) > 100:
            lines.append(indent + line.rstrip())
            line = ""
        line += piece
    lines.append(indent + line.rstrip())
    return "\n".join(lines)


def asm_text(pieces):
    """A string literal of at most 100 columns a line."""
    lines, line = [], ""
    for piece in pieces:
        if len(line) + len(piece) > 84:
            lines.append(line)
            line = ""
        line += piece
    lines.append(line)
    return "\n".join(f'        "{line}"' for line in lines)


def operation(name, n, register_a):
    a, b, d, c_type, k = TYPES[name]
    registers = n // 2
    first_a = registers
    desc_b = first_a + (4 if register_a else 1)
    scale_d = desc_b + 1
    pieces = ["{\\n.reg .pred p;\\n", f"setp.ne.b32 p, %{scale_d}, 0;\\n",
              f"wgmma.mma_async.sync.aligned.m64n{n}k{k}.{d}.{a}.{b} ", "{"]
    pieces += [f"%{i}, " for i in range(registers - 1)] + [f"%{registers - 1}", "}, "]
    if register_a:
        pieces += ["{", f"%{first_a}, %{first_a + 1}, %{first_a + 2}, %{first_a + 3}", "}, "]
    else:
        pieces += [f"%{first_a}, "]
    pieces += [f"%{desc_b}, p"]
    inputs = [f'"r"(a[{i}])' for i in range(4)] if register_a else ['"l"(a)']
    inputs += ['"l"(b)', '"r"(static_cast<int>(accumulate))']
    transposable = k == 16
    if d == "f32":
        pieces += [", 1, 1"]
    if transposable:
        first = scale_d + 1
        if register_a:
            pieces += [f", %{first}"]
            inputs += ['"n"(kTransB)']
        else:
            pieces += [f", %{first}, %{first + 1}"]
            inputs += ['"n"(kTransA)', '"n"(kTransB)']
    pieces += [";\\n}\\n"]
    constraint = "+r" if c_type == "int32_t" else "+f"
    outputs = [f'"{constraint}"(d[{i}])' for i in range(registers)]
    where = "Registers" if register_a else "Shared"
    operand = "const uint32_t (&a)[4]" if register_a else "uint64_t a"
    if transposable:
        template = ("  template <int kTransB = 0>\n" if register_a else
                    "  template <int kTransA = 0, int kTransB = 0>\n")
    else:
        template = ""
    return (f"template <>\nstruct Wgmma<MmaTypes::k{name}, OperandA::k{where}, {n}> {{\n{template}"
            f"  static __device__ __forceinline__ void Issue({c_type} (&d)[{registers}], {operand},\n"
            f"                                               uint64_t b, bool accumulate) {{\n"
            f"    asm volatile(\n{asm_text(pieces)}\n"
            f"{wrap(outputs, '        ').replace('        ', '        : ', 1)}\n"
            f"{wrap(inputs, '        ', ');').replace('        ', '        : ', 1)}\n"
            f"  }}\n}};\n")


def main():
    print(HEADER)
    print("// clang-format off")
    for register_a, shapes in ((True, REGISTER_A), (False, SHARED_A)):
        for name, columns in shapes.items():
            for n in columns:
                print(operation(name, n, register_a))
    print("// clang-format on\n\n}  // namespace atom::kernels::cuda::ptx")


main()
