// A Runner on one backend of this process: forward pass, sampling and log-probabilities, all of a
// step enqueued by Submit. On the CPU that computes it; a device may have steps_in_flight.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "atom/kernels/step_results.h"
#include "atom/model/kv_cache.h"
#include "atom/model/runner.h"
#include "atom/model/transformer.h"

namespace atom::model {

class LocalRunner final : public Runner {
 public:
  struct Options {
    int64_t kv_pages = 0;
    std::optional<int64_t> exact_pages = {};  ///< default: ExactPagesFor
    std::optional<int> steps_in_flight = {};  ///< default: what the backend finds worth it
    bool shared_kv = false;  ///< of measurements alone: all layers in the pages of one
  };
  /// `transformer` must outlive this, and its layers be complete.
  LocalRunner(Transformer& transformer, const Options& options);

  const RunnerInfo& info() const override { return info_; }
  int steps_in_flight() const override { return static_cast<int>(steps_.size()) - 1; }
  void Submit(const StepInput& input) override;
  const StepOutput& Collect() override;

 private:
  /// A step from Submit to Collect.
  struct Step {
    Step(kernels::Backend& backend, int64_t capacity) : results(backend, capacity) {}
    kernels::StepResults results;
    kernels::Backend::Ticket ticket = 0;
    std::vector<LogitRow> rows;
    std::vector<bool> refused;          // by row: its mask allows nothing
    std::vector<std::string> overflow;  // by row: where its hidden states overflow; or empty
    kernels::Batch batch;               // what ran, where steps may be in flight
    std::vector<int64_t> query_of;      // by row; -1: none
    int64_t queries = 0;
    double model_seconds = 0.0;
    double sample_seconds = 0.0;
  };
  /// Fills step.overflow, where hidden states of the batch are not finite.
  void FindOverflow(const kernels::Batch& batch, const kernels::DeviceTensor& hidden, Step& step);
  /// The same of a step that has ended, while another may be in flight: its losses tell.
  void FindOverflowInLosses(Step& step);
  /// The step's sequence alone, with tokens in the place of slots.
  kernels::Batch SequenceOf(const Step& step, int64_t sequence) const;
  /// Whether the step in flight writes where the sequence did: then it has ended, and its pages
  /// are another's.
  bool IsOverwritten(const kernels::Batch& sequence) const;
  /// The rows [first, first + logits.rows) of a step.
  void Choose(const kernels::DeviceTensor& logits, int64_t first, Step& step);
  void Measure(const kernels::DeviceTensor& logits, int64_t first, Step& step);

  Transformer& transformer_;
  RunnerInfo info_;
  KvCache cache_;
  std::vector<std::unique_ptr<Step>> steps_;  // one more than may be in flight, used in turn
  size_t submitted_ = 0;
  size_t collected_ = 0;
  StepOutput output_;
  std::vector<int32_t> slot_tokens_;  // what the steps that were collected left in the token slots
  // Scratch of Submit.
  std::vector<kernels::SampleRow> samples_;
  std::vector<kernels::LogProbQuery> queries_;
  std::vector<int32_t> any_targets_;  // of losses that are looked at for being finite
};

}  // namespace atom::model
