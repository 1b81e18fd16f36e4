// The activation functions of feed-forward networks, 16 values at a time; the operations and their
// order are those of docs/numerics.md, section 4.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

inline F32x16 Silu(F32x16 x) { return Div(x, Add(Set(1.0f), Exp(Sub(Zero(), x)))); }

/// Φ(−a) = exp(−a²/2) · t · Q(t) for 0 <= a <= 16, t = 1 / (1 + 0.27 a).
inline F32x16 NormalTail(F32x16 a) {
  const F32x16 t = Div(Set(1.0f), Fma(Set(0x1.147ae2p-2f), a, Set(1.0f)));
  F32x16 q = Set(0x1.dbc04ap-6f);
  q = Fma(q, t, Set(-0x1.03d446p-3f));
  q = Fma(q, t, Set(0x1.5d677ep-3f));
  q = Fma(q, t, Set(-0x1.1f7c0cp-4f));
  q = Fma(q, t, Set(0x1.bc87b2p-4f));
  q = Fma(q, t, Set(0x1.25d5d0p-4f));
  q = Fma(q, t, Set(0x1.a15bfcp-4f));
  q = Fma(q, t, Set(0x1.b871f6p-4f));
  q = Fma(q, t, Set(0x1.b93a18p-4f));
  return Mul(Exp(Mul(Mul(a, a), Set(-0.5f))), Mul(t, q));
}

/// x · Φ(x) = max(x, 0) − a · Φ(−a), a = |x|; beyond 16 the second part is nothing.
inline F32x16 Gelu(F32x16 x) {
  const F32x16 a = Min(Set(16.0f), Abs(x));
  return Sub(Max(Zero(), x), Mul(a, NormalTail(a)));
}

/// x / (1 + exp(−2u)), u = sqrt(2 / π) · (x + 0.044715 x³).
inline F32x16 GeluTanh(F32x16 x) {
  const F32x16 u = Fma(Set(0x1.6e4e26p-5f), Mul(Mul(x, x), x), x);
  return Div(x, Add(Set(1.0f), Exp(Sub(Zero(), Mul(Set(0x1.988454p+0f), u)))));
}

inline F32x16 Relu(F32x16 x) { return Max(Zero(), x); }

/// out = f(x)
template <F32x16 (*kFunction)(F32x16)>
void Activate(const float* x, int64_t n, float* out) {
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    StoreFirst(out + i, kFunction(LoadFirst(x + i, lanes)), lanes);
  });
}

/// out = f(gate) · up
template <F32x16 (*kFunction)(F32x16)>
void ActivateGated(const float* gate, const float* up, int64_t n, float* out) {
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    const F32x16 activated = kFunction(LoadFirst(gate + i, lanes));
    StoreFirst(out + i, Mul(activated, LoadFirst(up + i, lanes)), lanes);
  });
}

/// x = cap · tanh(x / cap)
inline F32x16 Capped(F32x16 x, F32x16 cap) { return Mul(cap, Tanh(Div(x, cap))); }

void SoftcapRow(float* x, int64_t n, float cap) {
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    StoreFirst(x + i, Capped(LoadFirst(x + i, lanes), Set(cap)), lanes);
  });
}

}  // namespace
}  // namespace atom::kernels::cpu
