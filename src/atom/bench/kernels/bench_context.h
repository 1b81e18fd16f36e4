// What every benchmark works on: a backend, the ceilings of what it runs on (the machine with the
// same number of threads, or the card, measured when the bench begins), and the clock. What it
// measures is said beside each row, so that rows can be read alone.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atom/bench/kernels/ceilings.h"
#include "atom/bench/kernels/timing.h"
#include "atom/core/result.h"
#include "atom/kernels/backend.h"
#include "atom/kernels/cuda_bench.h"

namespace atom::bench {

/// The speed of a row: of what bounds it, and the share of that which was reached.
struct Measured {
  double seconds = 0.0;
  std::string ceiling;
  double ceiling_rate = 0.0;      ///< operations or bytes per second, measured between repeats
  double ceiling_fraction = 0.0;  ///< 0 where the machine has no such loop
};

/// A piece of a row's time, and what it did of what the ceiling counts.
struct Sample {
  double work = 0.0;
  double seconds = 0.0;
};

/// The speed of others, and by what factor the row is faster: their time over its time.
using Ratios = std::vector<std::pair<std::string, double>>;

class BenchContext {
 public:
  static Result<std::unique_ptr<BenchContext>> Make(const std::string& backend, int threads,
                                                    const Effort& effort);

  kernels::Backend& backend() { return *backend_; }
  /// Ceilings::Name, or what bounds the same work on a card; empty where nothing measures it.
  std::string_view Name(Ceiling ceiling) const;
  bool Has(Ceiling ceiling) const { return !Name(ceiling).empty(); }
  /// One repeat of that loop; of a card what it gave when the bench began.
  double MeasureOnce(Ceiling ceiling);
  const Effort& effort() const { return effort_; }
  CpuIsa isa() const { return isa_; }
  int threads() const { return ceilings_.threads(); }

  /// Repeats of `call`, which does `work` of what `ceiling` counts, with the ceiling's own loop in
  /// front of, between and behind them.
  Measured Measure(Ceiling ceiling, double work, const std::function<void()>& call);

  /// The median of the samples' seconds, and the median of their shares, each of the mean of the
  /// rates right before and behind it: what both suffer from others on the machine falls out.
  /// REQUIRES: one more rate than samples, or none where the machine has no such loop.
  Measured Summarize(Ceiling ceiling, const std::vector<Sample>& samples,
                     const std::vector<double>& rates) const;

  /// Processor, instruction set, backend, threads and the ceilings; measures these.
  std::string Header();
  /// Adds the rows' common part: backend, isa, threads.
  void Describe(nlohmann::json& row) const;
  /// {"cpu", "backend", "isa", "threads", "ceilings": {name: rate}, "rows": rows}
  nlohmann::json Report(nlohmann::json rows) const;

 private:
  BenchContext(std::unique_ptr<kernels::Backend> backend, CpuIsa isa, int threads,
               const Effort& effort)
      : backend_(std::move(backend)), isa_(isa), effort_(effort), ceilings_(isa, threads, effort) {}

  std::unique_ptr<kernels::Backend> backend_;
  std::optional<kernels::CudaCard> card_;  // of the cuda backend
  CpuIsa isa_;
  Effort effort_;
  Ceilings ceilings_;
  std::vector<std::pair<std::string, double>> rates_;  // what Header measured
};

void ToJson(const Measured& measured, nlohmann::json& row);
void ToJson(const Ratios& ratios, nlohmann::json& row);

}  // namespace atom::bench
