#include "atom/kernels/cuda/gemm/packed_weight.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>

#include "atom/core/check.h"

namespace atom::kernels::cuda {
namespace {

constexpr std::array<std::string_view, 2> kScaleNames = {"integer", "half"};

// Where element (row, column) of a 4-bit block lies: byte of its codes, and which nibble.
struct NibblePlace {
  int64_t byte;
  int shift;
};

NibblePlace PlaceInBlock4(int64_t row, int64_t column) {
  const int64_t warp = row / 16;
  const int64_t lane = (row % 8) * 4 + column % 16 / 4;
  const int64_t step = column / 32;
  const int64_t half = column % 32 / 16;
  const int64_t thread = warp * 32 + lane;
  const int64_t byte = step / 2 * 2048 + thread * 16 + (step % 2 * 2 + half) * 4 + column % 4;
  return {byte, row % 16 < 8 ? 0 : 4};
}

int64_t PlaceInStep8(int64_t row, int64_t column) {
  const int64_t thread = row / 16 * 32 + (row % 8) * 4 + column % 16 / 4;
  const int64_t word = (row % 16 < 8 ? 0 : 1) + 2 * (column / 16);
  return thread * 16 + word * 4 + column % 4;
}

// Pair of rows (r, r + 8) that share a 4-byte word of scales: its number in the row block.
int64_t ScalePair(int64_t row) { return row / 16 * 8 + row % 8; }

int64_t GroupOf(const PackedWeightLayout& layout, int64_t column) {
  return layout.group == 0 ? 0 : column / layout.group;
}

void CheckSizes(const PackedWeightLayout& layout, size_t codes4, size_t multipliers, size_t scales4,
                size_t codes8) {
  ATOM_CHECK(WhyNotPacked(layout).empty(), "{}", WhyNotPacked(layout));
  const int64_t groups = layout.k4 == 0 ? 0 : (layout.group == 0 ? 1 : layout.k4 / layout.group);
  const bool integer = layout.scale == GroupScale::kInteger;
  ATOM_CHECK(static_cast<int64_t>(codes4) == layout.n * layout.k4 / 2, "{} of codes4", codes4);
  ATOM_CHECK(static_cast<int64_t>(multipliers) == (integer ? groups * layout.n : 0),
             "{} of multipliers", multipliers);
  ATOM_CHECK(static_cast<int64_t>(scales4) == (integer ? 0 : groups * layout.n), "{} of scales4",
             scales4);
  ATOM_CHECK(static_cast<int64_t>(codes8) == layout.n * layout.k8, "{} of codes8", codes8);
}

void PackCodes4(const PackedWeightLayout& layout, const WeightCodes& from, int64_t row_block,
                int64_t block, uint8_t* to) {
  // Two's complement -8..7 as code + 8 is the same nibble with its highest bit turned.
  const int flip = layout.scale == GroupScale::kInteger ? 8 : 0;
  for (int64_t r = 0; r < kBlockRows; ++r) {
    const int64_t row = row_block * kBlockRows + r;
    for (int64_t c = 0; c < kBlockColumns; ++c) {
      const int64_t column = block * kBlockColumns + c;
      int nibble = 0;
      if (row < layout.n && column < layout.k4) {
        const uint8_t byte = from.codes4[static_cast<size_t>((row * layout.k4 + column) / 2)];
        nibble = column % 2 == 0 ? byte & 15 : byte >> 4;
      }
      const NibblePlace place = PlaceInBlock4(r, c);
      to[place.byte] |= static_cast<uint8_t>((nibble ^ flip) << place.shift);
    }
  }
}

void PackMultipliers(const PackedWeightLayout& layout, const WeightCodes& from, int64_t row_block,
                     int64_t block, uint8_t* to) {
  for (int64_t r = 0; r < kBlockRows; ++r) {
    const int64_t row = row_block * kBlockRows + r;
    for (int64_t s = 0; s < 4; ++s) {
      const int64_t column = block * kBlockColumns + s * kStepColumns;
      int k = 1;
      if (row < layout.n && column < layout.k4) {
        k = from.multipliers[static_cast<size_t>(GroupOf(layout, column) * layout.n + row)];
        ATOM_CHECK(k >= 1 && k <= 15, "multiplier {}", k);
      }
      const int bit = static_cast<int>(4 * s) + (r % 16 < 8 ? 0 : 16);
      to[ScalePair(r) * 4 + bit / 8] |= static_cast<uint8_t>(k << (bit % 8));
    }
  }
}

int64_t HalfScaleOffset(int64_t group_in_block, int64_t row) {
  return group_in_block * kScaleBytes + ScalePair(row) * 4 + (row % 16 < 8 ? 0 : 2);
}

void PackHalfScales(const PackedWeightLayout& layout, const WeightCodes& from, int64_t row_block,
                    int64_t block, uint8_t* to) {
  const int64_t width = kBlockColumns / layout.groups_per_block();
  for (int64_t g = 0; g < layout.groups_per_block(); ++g) {
    const int64_t column = block * kBlockColumns + g * width;
    for (int64_t r = 0; r < kBlockRows; ++r) {
      const int64_t row = row_block * kBlockRows + r;
      if (row >= layout.n || column >= layout.k4) continue;
      const Half scale =
          from.scales4[static_cast<size_t>(GroupOf(layout, column) * layout.n + row)];
      std::memcpy(to + HalfScaleOffset(g, r), &scale.bits, 2);
    }
  }
}

}  // namespace

std::string_view Name(GroupScale scale) { return kScaleNames[static_cast<size_t>(scale)]; }

std::string WhyNotPacked(const PackedWeightLayout& layout) {
  const int64_t g = layout.group;
  if (layout.n <= 0 || layout.k4 < 0 || layout.k8 < 0 || layout.k4 + layout.k8 == 0) {
    return fmt::format("a weight of {} rows, {} low-bit and {} outlier columns is empty", layout.n,
                       layout.k4, layout.k8);
  }
  if (layout.k4 % 2 != 0)
    return fmt::format("{} low-bit columns: an even number is needed", layout.k4);
  if (g < 0 || (g != 0 && layout.k4 % g != 0)) {
    return fmt::format("groups of {} do not divide {} low-bit columns", g, layout.k4);
  }
  if (g == 0 || layout.k4 == 0) return "";
  if (layout.scale == GroupScale::kInteger && g % kStepColumns != 0) {
    return fmt::format("groups of {} with integer scales: a multiple of 32 is needed", g);
  }
  if (layout.scale == GroupScale::kHalf && g % kBlockColumns != 0 && g != 32 && g != 64) {
    return fmt::format("groups of {} with fp16 scales: 32, 64 or a multiple of 128 is needed", g);
  }
  return "";
}

void PackWeight(const PackedWeightLayout& layout, const WeightCodes& from, std::span<uint8_t> to) {
  CheckSizes(layout, from.codes4.size(), from.multipliers.size(), from.scales4.size(),
             from.codes8.size());
  ATOM_CHECK(static_cast<int64_t>(to.size()) == layout.bytes(), "{} bytes, not {}", to.size(),
             layout.bytes());
  std::fill(to.begin(), to.end(), uint8_t{0});
  for (int64_t rb = 0; rb < layout.row_blocks(); ++rb) {
    for (int64_t b = 0; b < layout.blocks4(); ++b) {
      uint8_t* block = to.data() + layout.block4_offset(rb, b);
      PackCodes4(layout, from, rb, b, block);
      if (layout.scale == GroupScale::kInteger) {
        PackMultipliers(layout, from, rb, b, block + kBlockCodeBytes);
      } else {
        PackHalfScales(layout, from, rb, b, block + kBlockCodeBytes);
      }
    }
    const int64_t rows = std::min(kBlockRows, layout.n - rb * kBlockRows);
    for (int64_t r = 0; r < rows; ++r) {
      const int8_t* row = from.codes8.data() + (rb * kBlockRows + r) * layout.k8;
      for (int64_t c = 0; c < layout.k8; ++c) {
        to[static_cast<size_t>(layout.step8_offset(rb, c / kStepColumns) +
                               PlaceInStep8(r, c % kStepColumns))] = static_cast<uint8_t>(row[c]);
      }
    }
  }
}

void UnpackWeight(const PackedWeightLayout& layout, std::span<const uint8_t> from,
                  const MutableWeightCodes& to) {
  CheckSizes(layout, to.codes4.size(), to.multipliers.size(), to.scales4.size(), to.codes8.size());
  ATOM_CHECK(static_cast<int64_t>(from.size()) == layout.bytes(), "{} bytes, not {}", from.size(),
             layout.bytes());
  const bool integer = layout.scale == GroupScale::kInteger;
  for (int64_t row = 0; row < layout.n; ++row) {
    const int64_t rb = row / kBlockRows;
    const int64_t r = row % kBlockRows;
    for (int64_t column = 0; column < layout.k4; ++column) {
      const uint8_t* block = from.data() + layout.block4_offset(rb, column / kBlockColumns);
      const int64_t c = column % kBlockColumns;
      const NibblePlace place = PlaceInBlock4(r, c);
      const int nibble = ((block[place.byte] >> place.shift) & 15) ^ (integer ? 8 : 0);
      uint8_t& byte = to.codes4[static_cast<size_t>((row * layout.k4 + column) / 2)];
      byte = static_cast<uint8_t>(column % 2 == 0 ? nibble : byte | nibble << 4);
      if (layout.group == 0 ? column != 0 : column % layout.group != 0) continue;
      const auto scale = static_cast<size_t>(GroupOf(layout, column) * layout.n + row);
      const uint8_t* scales = block + kBlockCodeBytes;
      if (integer) {
        const int64_t bit = 4 * (c / kStepColumns) + (r % 16 < 8 ? 0 : 16);
        to.multipliers[scale] =
            static_cast<uint8_t>((scales[ScalePair(r) * 4 + bit / 8] >> (bit % 8)) & 15);
      } else {
        const int64_t g = c * layout.groups_per_block() / kBlockColumns;
        std::memcpy(&to.scales4[scale].bits, scales + HalfScaleOffset(g, r), 2);
      }
    }
    for (int64_t c = 0; c < layout.k8; ++c) {
      to.codes8[static_cast<size_t>(row * layout.k8 + c)] =
          static_cast<int8_t>(from[static_cast<size_t>(layout.step8_offset(rb, c / kStepColumns) +
                                                       PlaceInStep8(r, c % kStepColumns))]);
    }
  }
}

}  // namespace atom::kernels::cuda
