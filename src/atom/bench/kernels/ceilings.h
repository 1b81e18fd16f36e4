// What this machine can do at most, measured by loops that do nothing else: integer products, fp32
// products, bf16 products, and reading memory. Clocks and memory bandwidth drift over minutes, so a
// row of a benchmark measures the ceiling that bounds it again between its own repeats.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "atom/bench/kernels/timing.h"
#include "atom/core/cpu_info.h"
#include "atom/core/thread_pool.h"

namespace atom::bench {

struct CeilingLoops;

enum class Ceiling { kInteger, kFma, kBf16, kDram };
inline constexpr std::array kCeilings = {Ceiling::kInteger, Ceiling::kFma, Ceiling::kBf16,
                                         Ceiling::kDram};

/// Memory that the probe reads: huge pages where the system gives them.
class ProbeMemory {
 public:
  explicit ProbeMemory(int64_t bytes);
  ~ProbeMemory();
  ProbeMemory(const ProbeMemory&) = delete;
  ProbeMemory& operator=(const ProbeMemory&) = delete;
  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

class Ceilings {
 public:
  Ceilings(CpuIsa isa, int threads, const Effort& effort);

  int threads() const { return pool_.threads(); }
  /// "vnni", "vpmaddubsw", "fma", …, "dram"; empty where the set has no such loop.
  std::string_view Name(Ceiling ceiling) const;
  bool Has(Ceiling ceiling) const { return !Name(ceiling).empty(); }
  /// One repeat on all threads: operations, or bytes of kDram, per second. REQUIRES: Has(ceiling).
  double MeasureOnce(Ceiling ceiling);
  /// The median of several.
  double Measure(Ceiling ceiling);

 private:
  double RunUntilDeadline(const std::function<int64_t(int worker)>& piece);

  const CeilingLoops& loops_;
  Effort effort_;
  ThreadPool pool_;
  std::unique_ptr<ProbeMemory> memory_;  // made when first asked for
  std::vector<int64_t> next_;            // where each thread's reading goes on
};

}  // namespace atom::bench
