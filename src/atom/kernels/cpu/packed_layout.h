// How the cpu backend lays out an integer weight: panels of 32 outputs, each one linear stream of
// 64-byte lines in the order in which a product reads it, scales between the codes:
//
//   panel p = outputs 32 p … 32 p + 31:
//     per group   group_dwords lines of codes, one line of scales
//     outliers    2 * outlier_dwords lines of codes, one line of scales        (if K8 > 0)
//
//   4-bit line   byte 4 i + j: output i (low nibble) and i + 16 (high) at input 4 d + j; code + 8
//   8-bit line   byte 4 i + j: output i, in the line behind it i + 16,           code + 128
//   scales       32 fp16
//
// Line d of group g holds inputs 4 (g·G/4 + d) …, rounded down: where 4 does not divide G a line
// belongs to two groups, and holds code 0 at the inputs of the other. Outputs beyond N and inputs
// beyond K have code 0. Plain data: the kernels of every instruction set read it.
#pragma once

#include <cstdint>

namespace atom::kernels::cpu {

inline constexpr int64_t kPanelOutputs = 32;
inline constexpr int64_t kLineBytes = 64;

struct PackedLayout {
  int64_t n = 0;
  int64_t k4 = 0;
  int64_t k8 = 0;
  int64_t group = 0;
  int64_t groups = 0;
  int64_t group_dwords = 0;    ///< lines of codes of each group
  int64_t outlier_dwords = 0;  ///< pairs of lines of outlier codes
  int64_t group_bytes = 0;
  int64_t panel_bytes = 0;
  int64_t panels = 0;
};

}  // namespace atom::kernels::cpu
