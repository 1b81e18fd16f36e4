#include "atom/kernels/cpu/panel_packing.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "atom/kernels/cpu/lanes.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kHalfPanel = kPanelOutputs / 2;
constexpr int64_t kVectorBytes = 16;
/// What is taken of a row at once: all of a cache line, since rows that are a multiple of a page
/// apart would evict each other before its second part is asked for.
constexpr int64_t kSourceBytes = 64;
constexpr int64_t kPrefetchBytes = 2 * kSourceBytes;  // measured: 1 and 8 are slower

/// Where the rows of a panel start; beyond N there are none.
using PanelRows = std::array<const std::byte*, kPanelOutputs>;

PanelRows RowsOf(const void* data, int64_t row_bytes, int64_t n, int64_t panel) {
  PanelRows rows{};
  for (int64_t i = 0; i < kPanelOutputs; ++i) {
    const int64_t row = panel * kPanelOutputs + i;
    if (row < n) {
      rows[static_cast<size_t>(i)] = static_cast<const std::byte*>(data) + row * row_bytes;
    }
  }
  return rows;
}

/// What a loop over rows takes at once. Whole: vectors of 16 bytes that are there in all rows, the
/// case that must be fast; otherwise some are missing, or parts of them.
enum class Part { kWhole, kRagged };

Part PartOf(const PanelRows& rows, int64_t begin, int64_t end) {
  const bool whole = rows.back() != nullptr && (end - begin) % kVectorBytes == 0;
  return whole ? Part::kWhole : Part::kRagged;
}

/// Bytes [begin, end) of a row, at most 16, then zeros.
template <Part kPart, class Lanes>
Lanes LoadRow(const PanelRows& rows, int64_t row, int64_t begin, int64_t end) {
  const std::byte* data = rows[static_cast<size_t>(row)];
  if (kPart == Part::kWhole) return LoadLanes<Lanes>(data + begin);
  return data == nullptr ? Lanes{} : LoadLanes<Lanes>(data + begin, end - begin);
}

/// The first `count` columns, `stride` bytes apart.
template <Part kPart, class Lanes>
void StoreColumns(const Lanes (&columns)[Lanes::kLanes], int64_t count, int64_t stride,
                  std::byte* out) {
  if (kPart == Part::kWhole) count = Lanes::kLanes;
  for (int64_t i = 0; i < std::min<int64_t>(Lanes::kLanes, count); ++i) {
    std::memcpy(out + i * stride, &columns[i], kVectorBytes);
  }
}

/// The panel's rows are more streams than a processor follows by itself.
template <Part kPart>
void PrefetchRows(const PanelRows& rows, int64_t first, int64_t count, int64_t at) {
  if (kPart == Part::kRagged) return;
  for (int64_t row = first; row < first + count; ++row) {
    __builtin_prefetch(rows[static_cast<size_t>(row)] + at + kPrefetchBytes);
  }
}

/// 32 codes of output i and of output i + 16, offset by 8: bytes as they lie in a 4-bit line.
struct CodePairs {
  Dwords first, second;  // inputs 0 to 15, 16 to 31
};
CodePairs PairCodes(Words a, Words b) {
  constexpr uint16_t kLow = 0x0f0f;
  constexpr uint16_t kHigh = 0xf0f0;
  constexpr uint16_t kOffset = 0x8888;
  const Words even{((a.v & kLow) | ((b.v & kLow) << 4)) ^ kOffset};
  const Words odd{(((a.v >> 4) & kLow) | (b.v & kHigh)) ^ kOffset};
  return {CastLanes<Dwords>(InterleaveLow(CastLanes<Bytes>(even), CastLanes<Bytes>(odd))),
          CastLanes<Dwords>(InterleaveHigh(CastLanes<Bytes>(even), CastLanes<Bytes>(odd)))};
}

/// Bytes [begin, end) of the rows of codes, at most kSourceBytes, end - begin even: a line for each
/// two of them.
template <Part kPart>
void PackNibbles(const PanelRows& rows, int64_t begin, int64_t end, std::byte* out) {
  for (int64_t lane = 0; lane < kHalfPanel; lane += Dwords::kLanes) {
    PrefetchRows<kPart>(rows, lane, Dwords::kLanes, begin);
    PrefetchRows<kPart>(rows, lane + kHalfPanel, Dwords::kLanes, begin);
    for (int64_t at = begin; at < end; at += kVectorBytes) {
      Dwords first[Dwords::kLanes];
      Dwords second[Dwords::kLanes];
      for (int64_t i = 0; i < Dwords::kLanes; ++i) {
        const CodePairs pairs =
            PairCodes(LoadRow<kPart, Words>(rows, lane + i, at, end),
                      LoadRow<kPart, Words>(rows, lane + kHalfPanel + i, at, end));
        first[i] = pairs.first;
        second[i] = pairs.second;
      }
      Transpose(first);
      Transpose(second);
      const int64_t lines = (end - at) / 2;
      std::byte* line = out + (at - begin) / 2 * kLineBytes + 4 * lane;
      StoreColumns<kPart>(first, lines, kLineBytes, line);
      StoreColumns<kPart>(second, lines - Dwords::kLanes, kLineBytes, line + 4 * kLineBytes);
    }
  }
}

/// Bytes [begin, end) of the rows of outlier codes: two lines for each four of them.
template <Part kPart>
void PackOutliers(const PanelRows& rows, int64_t begin, int64_t end, std::byte* out) {
  for (int64_t lane = 0; lane < kPanelOutputs; lane += Dwords::kLanes) {
    PrefetchRows<kPart>(rows, lane, Dwords::kLanes, begin);
    for (int64_t at = begin; at < end; at += kVectorBytes) {
      Dwords codes[Dwords::kLanes];
      for (int64_t i = 0; i < Dwords::kLanes; ++i) {
        codes[i] = {LoadRow<kPart, Dwords>(rows, lane + i, at, end).v ^ 0x80808080u};
      }
      Transpose(codes);
      // Outputs 16 to 31 are in every second line.
      std::byte* line = out + (at - begin) / 2 * kLineBytes + lane / kHalfPanel * kLineBytes +
                        4 * (lane % kHalfPanel);
      StoreColumns<kPart>(codes, (end - at + 3) / 4, 2 * kLineBytes, line);
    }
  }
}

/// Four codes, offset by 8, in four bytes: those at [k, k + 4) of a row that lie in [begin, end).
uint32_t FourNibbles(const quant::QuantizedView& weight, int64_t row, int64_t k, int64_t begin,
                     int64_t end) {
  constexpr uint32_t kZeros = 0x08080808u;
  if (row >= weight.n || k >= end) return kZeros;
  const uint8_t* bytes = weight.codes4.data() + row * (weight.k4 / 2) + k / 2;
  const uint32_t second = k + 2 < weight.k4 ? bytes[1] : 0;
  uint32_t spread = bytes[0] | second << 16;
  spread = (spread | spread << 4) & 0x0f0f0f0fu;
  uint32_t inside = 0xffffffffu;
  if (k < begin) inside &= 0xffff0000u;  // begin, end and G are even
  if (k + 4 > end) inside &= 0x0000ffffu;
  return ((spread ^ kZeros) & inside) | (kZeros & ~inside);
}

/// A group whose lines begin or end in the middle, because 4 does not divide G: rare and slow.
void PackRaggedGroup(const quant::QuantizedView& weight, const PackedLayout& l, int64_t panel,
                     int64_t group, std::byte* out) {
  const int64_t first = panel * kPanelOutputs;
  const int64_t begin = group * l.group;
  const int64_t end = begin + l.group;
  uint32_t line[kHalfPanel];
  for (int64_t d = 0; d < l.group_dwords; ++d, out += kLineBytes) {
    const int64_t k = (begin / 4 + d) * 4;
    for (int64_t i = 0; i < kHalfPanel; ++i) {
      line[i] = FourNibbles(weight, first + i, k, begin, end) |
                FourNibbles(weight, first + kHalfPanel + i, k, begin, end) << 4;
    }
    std::memcpy(out, line, kLineBytes);
  }
}

template <class T>
void PackScales(std::span<const T> scales, int64_t first, int64_t n, std::byte* out) {
  T lines[kPanelOutputs] = {};
  std::copy_n(scales.data() + first, std::min(kPanelOutputs, n - first), lines);
  std::memcpy(out, lines, sizeof(lines));
}

/// Of the groups from `group` on that share a line.
void PackMultipliers(const quant::QuantizedView& weight, int64_t panel, int64_t group,
                     std::byte* out) {
  uint8_t line[kLineBytes] = {};
  const int64_t count = std::min(kBlockGroups, weight.groups() - group);
  for (int64_t i = 0; i < kPanelOutputs; ++i) {
    const int64_t row = panel * kPanelOutputs + i;
    if (row >= weight.n) break;
    for (int64_t j = 0; j < count; ++j) {
      const int shift = i < kHalfPanel ? 0 : 4;
      line[4 * (i % kHalfPanel) + j] |=
          static_cast<uint8_t>(weight.Multiplier4(row, group + j) << shift);
    }
  }
  std::memcpy(out, line, kLineBytes);
}

/// Bytes [begin, end) of the rows, at most kSourceBytes, in squares of Lanes.
template <Part kPart, class Lanes>
void PackDense(const PanelRows& rows, int64_t begin, int64_t end, std::byte* out) {
  constexpr int64_t kBytes = kVectorBytes / Lanes::kLanes;  // of an element
  constexpr int64_t kColumn = kPanelOutputs * kBytes;
  for (int64_t row = 0; row < kPanelOutputs; row += Lanes::kLanes) {
    PrefetchRows<kPart>(rows, row, Lanes::kLanes, begin);
    for (int64_t at = begin; at < end; at += kVectorBytes) {
      Lanes square[Lanes::kLanes];
      for (int64_t i = 0; i < Lanes::kLanes; ++i) {
        square[i] = LoadRow<kPart, Lanes>(rows, row + i, at, end);
      }
      Transpose(square);
      StoreColumns<kPart>(square, (end - at) / kBytes, kColumn,
                          out + (at - begin) / kBytes * kColumn + row * kBytes);
    }
  }
}

/// Calls pack.operator()<Part>(begin, end) for pieces of [begin, end).
template <class Pack>
void InPieces(const PanelRows& rows, int64_t begin, int64_t end, Pack pack) {
  for (int64_t at = begin; at < end; at += kSourceBytes) {
    const int64_t stop = std::min(end, at + kSourceBytes);
    if (PartOf(rows, at, stop) == Part::kWhole) {
      pack.template operator()<Part::kWhole>(at, stop);
    } else {
      pack.template operator()<Part::kRagged>(at, stop);
    }
  }
}

}  // namespace

void PackIntegerPanel(const quant::QuantizedView& weight, const PackedLayout& l, int64_t panel,
                      std::byte* out) {
  const int64_t first = panel * kPanelOutputs;
  const PanelRows rows4 = RowsOf(weight.codes4.data(), l.k4 / 2, l.n, panel);
  for (int64_t g = 0; g < l.groups; ++g) {
    std::byte* codes = out + GroupOffset(l, g);
    if (l.group % 4 != 0) {
      PackRaggedGroup(weight, l, panel, g, codes);
    } else {
      const int64_t start = g * l.group / 2;
      InPieces(rows4, start, start + l.group / 2, [&]<Part kPart>(int64_t begin, int64_t end) {
        PackNibbles<kPart>(rows4, begin, end, codes + (begin - start) / 2 * kLineBytes);
      });
    }
    if (!l.two_level) {
      PackScales(weight.scales4.subspan(static_cast<size_t>(g * l.n)), first, l.n,
                 codes + l.group_bytes - kLineBytes);
    } else if (g % kBlockGroups == 0) {
      PackMultipliers(weight, panel, g, out + MultiplierOffset(l, g));
    }
  }
  if (l.two_level) PackScales(weight.row_scales4, first, l.n, out + RowScaleOffset(l));
  if (l.k8 == 0) return;
  out += l.low_bytes;
  const PanelRows rows8 = RowsOf(weight.codes8.data(), l.k8, l.n, panel);
  InPieces(rows8, 0, l.k8, [&]<Part kPart>(int64_t begin, int64_t end) {
    PackOutliers<kPart>(rows8, begin, end, out + begin / 2 * kLineBytes);
  });
  PackScales(weight.scales8, first, l.n, out + 2 * l.outlier_dwords * kLineBytes);
}

void PackDensePanel(const TensorView& weight, int64_t panel, std::byte* out) {
  const int64_t row_bytes = weight.dim(1) * DTypeSize(weight.dtype);
  const PanelRows rows = RowsOf(weight.data, row_bytes, weight.dim(0), panel);
  InPieces(rows, 0, row_bytes, [&]<Part kPart>(int64_t begin, int64_t end) {
    std::byte* columns = out + begin * kPanelOutputs;
    if (DTypeSize(weight.dtype) == 4) {
      PackDense<kPart, Dwords>(rows, begin, end, columns);
    } else {
      PackDense<kPart, Words>(rows, begin, end, columns);
    }
  });
}

}  // namespace atom::kernels::cpu
