// The Hadamard rotation of one attention head's channels (docs/numerics.md, "Rotated heads"): it
// spreads what sticks out of a key or a value over the whole head before it is quantized. It is
// orthonormal: scores stay what they are when q and k are rotated, and so does the output when the
// weights that write v and read the attended values are rotated offline.
#pragma once

#include <cstdint>
#include <span>

namespace atom::quant {

/// Heads of 2^n, 12 · 2^n and 20 · 2^n channels have one: 64, 80, 96, 128, 256, …
bool HasHeadHadamard(int64_t head_dim);

/// x ← H·x: each block of 2^n channels by Sylvester's matrix (hadamard.h), then the blocks among
/// each other by Paley's of order 12 or 20. REQUIRES: HasHeadHadamard(x.size()).
void RotateHead(std::span<float> x);

/// The rows of a weight W[heads * head_dim][columns] that writes heads, and its bias as columns
/// = 1.
void RotateHeadRows(int64_t head_dim, int64_t columns, std::span<float> w);

/// The columns of a weight W[rows][heads * head_dim] that reads heads.
void RotateHeadColumns(int64_t head_dim, std::span<float> w);
/// Undoes that: x ← Hᵀ·x head by head.
void RotateHeadColumnsBack(int64_t head_dim, std::span<float> w);

}  // namespace atom::quant
