// The published figure of serving, Llama-7B's shape on one RTX 4090 of 24 GB, for the plot to show
// beside what is measured here. Throughputs and latencies are read off its curves; the ratios of
// its equal memory are printed in it. Another card: only ratios compare.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "atom/io/svg.h"

namespace atom::bench {

struct PublishedCurve {
  std::string_view name;
  std::array<double, 6> tokens_per_second;
  std::array<double, 6> milliseconds;
  int64_t memory_batch;  ///< the largest of a power of two within 24 GB, and there:
  double memory_tokens_per_second;
  double atom_times;  ///< as printed: how many times that Atom gives there
};
inline constexpr std::array<int64_t, 6> kPublishedBatches = {8, 16, 32, 64, 128, 256};
inline constexpr std::array<PublishedCurve, 4> kPublishedCurves = {{
    {"FP16", {390, 680, 1040, 1400, 1710, 1900}, {20, 23, 30.5, 45, 75.5, 135.5}, 8, 390, 7.73},
    {"W4A16", {330, 550, 880, 1250, 1530, 1650}, {24.5, 27.5, 35, 49, 83, 154}, 16, 550, 5.5},
    {"W8A8", {380, 700, 1200, 1850, 2570, 3190}, {21, 22.5, 26.5, 34, 51, 82}, 32, 1200, 2.53},
    {"Atom W4A4",
     {690, 1250, 2070, 3050, 4020, 4690},
     {11.5, 12.8, 15.5, 20.8, 33, 56.5},
     64,
     3050,
     1},
}};

/// Its panels: throughput and latency at equal batches, throughput in equal memory.
io::Chart PublishedThroughput();
io::Chart PublishedLatency();
io::Chart PublishedInEqualMemory();

}  // namespace atom::bench
