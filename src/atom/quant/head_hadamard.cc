#include "atom/quant/head_hadamard.h"

#include <array>
#include <cmath>
#include <vector>

#include "atom/core/check.h"
#include "atom/quant/hadamard.h"

namespace atom::quant {
namespace {

/// Paley's matrix of order q + 1 for a prime q = 3 modulo 4: I + S, S skew-symmetric, its first row
/// +1 and the rest the quadratic characters of c - b modulo q.
template <int kOrder>
constexpr std::array<std::array<float, kOrder>, kOrder> PaleyMatrix() {
  constexpr int q = kOrder - 1;
  std::array<bool, q> is_square{};
  for (int i = 1; i < q; ++i) is_square[i * i % q] = true;
  std::array<std::array<float, kOrder>, kOrder> matrix{};
  for (int b = 0; b < kOrder; ++b) {
    for (int c = 0; c < kOrder; ++c) {
      const bool positive =
          b == 0 || b == c || (c != 0 && is_square[static_cast<size_t>((c - b + q) % q)]);
      matrix[static_cast<size_t>(b)][static_cast<size_t>(c)] = positive ? 1.0f : -1.0f;
    }
  }
  return matrix;
}
constexpr auto kPaley12 = PaleyMatrix<12>();
constexpr auto kPaley20 = PaleyMatrix<20>();

/// Channels j, width + j, 2 width + j, … of x as one vector, times the normalized matrix.
template <size_t kOrder, bool kTransposed = false>
void MixBlocks(const std::array<std::array<float, kOrder>, kOrder>& matrix, size_t width,
               std::span<float> x) {
  const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(kOrder)));
  std::array<float, kOrder> in;
  for (size_t j = 0; j < width; ++j) {
    for (size_t c = 0; c < kOrder; ++c) in[c] = x[c * width + j];
    for (size_t b = 0; b < kOrder; ++b) {
      float sum = (kTransposed ? matrix[0][b] : matrix[b][0]) * in[0];
      for (size_t c = 1; c < kOrder; ++c) {
        sum += (kTransposed ? matrix[c][b] : matrix[b][c]) * in[c];
      }
      x[b * width + j] = sum * factor;
    }
  }
}

/// Blocks among each other: 1, 12 or 20; 0 where there is no matrix.
int64_t BlocksOf(int64_t head_dim) {
  for (const int64_t blocks : {1, 12, 20}) {
    if (head_dim % blocks == 0 && IsPowerOfTwo(head_dim / blocks)) return blocks;
  }
  return 0;
}

}  // namespace

bool HasHeadHadamard(int64_t head_dim) { return BlocksOf(head_dim) != 0; }

void RotateHead(std::span<float> x) {
  const auto head_dim = static_cast<int64_t>(x.size());
  const int64_t blocks = BlocksOf(head_dim);
  ATOM_CHECK(blocks != 0, "no Hadamard matrix for a head of {} channels", head_dim);
  const int64_t width = head_dim / blocks;
  RotateBlocks(width, x);
  if (blocks == 12) MixBlocks(kPaley12, static_cast<size_t>(width), x);
  if (blocks == 20) MixBlocks(kPaley20, static_cast<size_t>(width), x);
}

void RotateHeadRows(int64_t head_dim, int64_t columns, std::span<float> w) {
  const auto d = static_cast<size_t>(head_dim);
  const auto stride = static_cast<size_t>(columns);
  ATOM_CHECK(w.size() % (d * stride) == 0, "{} values, heads of {} rows of {}", w.size(), d,
             stride);
  std::vector<float> column(d);
  for (size_t head = 0; head < w.size(); head += d * stride) {
    for (size_t c = 0; c < stride; ++c) {
      for (size_t i = 0; i < d; ++i) column[i] = w[head + i * stride + c];
      RotateHead(column);
      for (size_t i = 0; i < d; ++i) w[head + i * stride + c] = column[i];
    }
  }
}

void RotateHeadColumns(int64_t head_dim, std::span<float> w) {
  const auto d = static_cast<size_t>(head_dim);
  ATOM_CHECK(w.size() % d == 0, "{} values, heads of {}", w.size(), d);
  // y = W·o = (W·Hᵀ)·(H·o), and a row of W·Hᵀ is H times that row of W.
  for (size_t first = 0; first < w.size(); first += d) RotateHead(w.subspan(first, d));
}

void RotateHeadColumnsBack(int64_t head_dim, std::span<float> w) {
  const auto d = static_cast<size_t>(head_dim);
  const int64_t blocks = BlocksOf(head_dim);
  ATOM_CHECK(blocks != 0 && w.size() % d == 0, "{} values, heads of {}", w.size(), d);
  const int64_t width = head_dim / blocks;  // Sylvester's matrix is its own transpose
  for (size_t first = 0; first < w.size(); first += d) {
    const std::span<float> head = w.subspan(first, d);
    RotateBlocks(width, head);
    if (blocks == 12) MixBlocks<12, true>(kPaley12, static_cast<size_t>(width), head);
    if (blocks == 20) MixBlocks<20, true>(kPaley20, static_cast<size_t>(width), head);
  }
}

}  // namespace atom::quant
