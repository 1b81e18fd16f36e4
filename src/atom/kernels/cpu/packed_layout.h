// How the cpu backend lays out an integer weight: panels of 32 outputs, each one linear stream of
// 64-byte lines in the order in which a product reads it, scales between the codes:
//
//   panel p = outputs 32 p … 32 p + 31:
//     per group     group_dwords lines of codes, one line of scales            (fp16 scales)
//     or per 4 groups one line of multipliers, 4 group_dwords lines of codes;
//     then            two lines of row scales                                  (two-level scales)
//     outliers      2 outlier_dwords lines of codes, one line of scales        (if K8 > 0)
//
//   4-bit line   byte 4 i + j: output i (low nibble) and i + 16 (high) at input 4 d + j; code + 8
//   8-bit line   byte 4 i + j: output i, in the line behind it i + 16,           code + 128
//   multipliers  a 4-bit line with groups in place of inputs                     1 … 15
//   scales       32 fp16
//   row scales   32 fp32
//
// Line d of group g holds inputs 4 (g·G/4 + d) …, rounded down: where 4 does not divide G a line
// belongs to two groups, and holds code 0 at the inputs of the other. Outputs beyond N and inputs
// beyond K have code 0 and multiplier 0. Plain data: the kernels of every instruction set read it.
#pragma once

#include <cstdint>

namespace atom::kernels::cpu {

inline constexpr int64_t kPanelOutputs = 32;
inline constexpr int64_t kLineBytes = 64;
/// Groups whose multipliers share a line.
inline constexpr int64_t kBlockGroups = 4;
inline constexpr int64_t kRowScaleLines = 2;

struct PackedLayout {
  int64_t n = 0;
  int64_t k4 = 0;
  int64_t k8 = 0;
  int64_t group = 0;
  int64_t groups = 0;
  bool two_level = false;      ///< scales
  int64_t group_dwords = 0;    ///< lines of codes of each group
  int64_t outlier_dwords = 0;  ///< pairs of lines of outlier codes
  int64_t group_bytes = 0;     ///< codes, and scales in fp16
  int64_t low_bytes = 0;       ///< of all groups with all of their scales
  int64_t panel_bytes = 0;
  int64_t panels = 0;
};

// Where the parts of a panel begin, in bytes. Never a function of their own, which the linker might
// take from an object that was compiled for another processor.
[[gnu::always_inline]] inline int64_t GroupOffset(const PackedLayout& l, int64_t group) {
  const int64_t multipliers = l.two_level ? group / kBlockGroups + 1 : 0;  // lines before
  return group * l.group_bytes + multipliers * kLineBytes;
}
/// Of the line that has the group's multipliers.
[[gnu::always_inline]] inline int64_t MultiplierOffset(const PackedLayout& l, int64_t group) {
  return GroupOffset(l, group / kBlockGroups * kBlockGroups) - kLineBytes;
}
[[gnu::always_inline]] inline int64_t RowScaleOffset(const PackedLayout& l) {
  return l.low_bytes - kRowScaleLines * kLineBytes;
}

}  // namespace atom::kernels::cpu
