// Two-level scales (docs/numerics.md, section 2): the scale of a group is k · S, k of 1…15 and S a
// scale of the whole row (of a weight) or token (of an activation). A product of two rows is then
// S · S' times one sum of integers (code · k) · (code' · k') over all groups: exact, however it is
// split, and what integer tensor cores compute.
#pragma once

#include <cstdint>

namespace atom::quant {

inline constexpr int kMaxMultiplier = 15;
/// What an int32 sum of (code · k) · (code' · k') or (code · k) · (8-bit code) has room for.
inline constexpr int64_t kMaxTwoLevelColumns = 65536;

/// S of a row whose groups ask for steps of at most `largest_step`: a fifteenth, rounded to 12
/// significant bits, so that k · S, k · S · code and the product of two of them are exact in fp32.
/// REQUIRES: 2^-24 <= largest_step <= 65504.
float RowScale(float largest_step);

/// k of a group that asks for `step`: round(step / row_scale) in 1…15.
int Multiplier(float step, float row_scale);

/// True for what RowScale may give: finite, positive, 12 significant bits.
bool IsRowScale(float value);

}  // namespace atom::quant
