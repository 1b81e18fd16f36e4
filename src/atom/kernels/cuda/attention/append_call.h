// Appending a step's keys and values to their pages; plain data, for host and device code.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/attention/attention_call.h"

namespace atom::kernels::cuda {

/// qkv is [tokens][(heads + 2 kv_heads) · head_dim]: q, k, v. Of every token, in this order:
///   q, k   normalized head by head, if there are weights for it
///   q, k   rotated by RoPE
///   k      minus the constant mean of its head, if there is one (the shift cancels in the softmax)
///   q, k   multiplied by the normalized Hadamard matrix of head_dim channels, if it is asked for
///   q      written back in place; k, v written to the pages in their storage, and to exact pages
struct AppendKv {
  Rows qkv;
  int tokens = 0;
  int heads = 0;
  KvPages kv;
  const int32_t* positions = nullptr;  ///< [tokens] rows of the RoPE table
  const int32_t* slots = nullptr;      ///< [tokens] page · 16 + place in it; below 0: nowhere
  /// As in DecodeAttention, of positions and slots; set by LaunchAppendKv.
  bool lists_are_older = false;
  KvPages exact;  ///< kF16; null data: none
  const int32_t* exact_slots = nullptr;
  const float* q_norm = nullptr;  ///< [head_dim] weights of RMSNorm; null: none
  const float* k_norm = nullptr;
  float norm_epsilon = 0.0f;
  const float* rope = nullptr;      ///< [positions][2][rotary_dim / 2], cos first; null: no RoPE
  int rotary_dim = 0;               ///< even; channels from there on stay
  const float* key_mean = nullptr;  ///< [kv_heads][head_dim]; null: none
  bool hadamard = false;            ///< q, k by the matrix of docs/numerics.md, "Rotated heads"
  /// [2][kv_heads] factors of K's and V's ranges about their centres; null: 1.
  const float* clip = nullptr;
  /// kF16 only, not 0: what codes of so many bits would give is stored.
  int fake_bits = 0;
  /// Codes with an integer zero point, ranges that include 0, as published.
  bool integer_zero = false;
};

}  // namespace atom::kernels::cuda
