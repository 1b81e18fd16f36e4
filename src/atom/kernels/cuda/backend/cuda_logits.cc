// From logits to tokens, losses and log-probabilities; results stay on the device.
#include "atom/core/check.h"
#include "atom/kernels/cuda/backend/cuda_backend.h"

namespace atom::kernels::cuda {
namespace {

static_assert(kMostTopTokens == kMaxTop);

LogitRows LogitsOf(const DeviceTensor& logits) {
  ATOM_CHECK(logits.dtype == DType::kF32, "logits are fp32");
  return {static_cast<const float*>(logits.data), logits.stride, static_cast<int>(logits.cols)};
}

}  // namespace

void CudaBackend::LaunchCollected(const DeviceTensor& logits, DeviceSpan<int32_t> tokens) {
  Flush();
  Require(step_.Upload(sample_rows_.choices(), step_.choices(), stream_));
  Require(step_.Upload(sample_rows_.edits(), step_.edits(), stream_));
  Require(step_.Upload(sample_rows_.allowed(), step_.masks(), stream_));
  SampleCall call;
  call.logits = LogitsOf(logits);
  call.choices = step_.choices();
  call.rows = static_cast<int>(sample_rows_.choices().size());
  call.edits = step_.edits();
  call.allowed = step_.masks();
  call.tokens = tokens.data;
  call.slots = step_.slots();
  call.workspace = reinterpret_cast<float*>(step_.logits_workspace());
  Require(LaunchSample(call, device_.multiprocessors, stream_.get()));
  sample_rows_.Clear();
}

void CudaBackend::Sample(const DeviceTensor& logits, std::span<const SampleRow> rows,
                         DeviceSpan<int32_t> tokens) {
  sample_rows_.Clear();
  for (const SampleRow& row : rows) {
    ATOM_CHECK(row.row >= 0 && row.row < logits.rows && row.row < tokens.size, "row {} of {}",
               row.row, logits.rows);
    ATOM_CHECK(row.slot < step_.plan().batch.sequences, "token slot {} of {}", row.slot,
               step_.plan().batch.sequences);
    const auto has_room = [&](size_t held, size_t more, int64_t capacity) {
      return static_cast<int64_t>(held + more) <= capacity;
    };
    // More edits and masks than there is room for go in several launches.
    if (!has_room(sample_rows_.choices().size(), 1, step_.plan().batch.rows) ||
        !has_room(sample_rows_.edits().size(), row.params.edits.size(), step_.edit_capacity()) ||
        !has_room(sample_rows_.allowed().size(), row.params.allowed.size(),
                  step_.mask_capacity())) {
      LaunchCollected(logits, tokens);
    }
    sample_rows_.Add(static_cast<int32_t>(row.row), row.params, row.uniform, row.slot);
  }
  if (!sample_rows_.choices().empty()) LaunchCollected(logits, tokens);
}

void CudaBackend::AskAboutLogits(const DeviceTensor& logits, int64_t count, LogProbCall call) {
  ATOM_CHECK(count <= step_.plan().batch.rows && logits.cols <= step_.plan().vocabulary,
             "{} questions about {} logits, room for {} about {}", count, logits.cols,
             step_.plan().batch.rows, step_.plan().vocabulary);
  Flush();
  Require(step_.Upload<DeviceQuery>(queries_, step_.queries(), stream_));
  call.logits = LogitsOf(logits);
  call.queries = step_.queries();
  call.count = static_cast<int>(count);
  call.workspace = step_.logits_workspace();
  Require(LaunchLogProbs(call, stream_.get()));
}

void CudaBackend::NegativeLogLikelihood(const DeviceTensor& logits,
                                        std::span<const int32_t> targets, DeviceSpan<double> out) {
  ATOM_CHECK(std::ssize(targets) == logits.rows && out.size >= logits.rows,
             "{} rows, {} targets, {} results", logits.rows, targets.size(), out.size);
  queries_.clear();
  for (size_t i = 0; i < targets.size(); ++i) {
    ATOM_CHECK(targets[i] >= 0 && targets[i] < logits.cols, "target {}, {} logits", targets[i],
               logits.cols);
    queries_.push_back({static_cast<int32_t>(i), targets[i], 0});
  }
  LogProbCall call;
  call.losses = out.data;
  AskAboutLogits(logits, logits.rows, call);
}

void CudaBackend::TokenLogProbs(const DeviceTensor& logits, std::span<const LogProbQuery> queries,
                                DeviceSpan<int32_t> tokens, const DeviceLogProbs& out) {
  queries_.clear();
  for (const LogProbQuery& query : queries) {
    ATOM_CHECK(query.row >= 0 && query.row < logits.rows && query.target < logits.cols,
               "row {} of {}, token {} of {}", query.row, logits.rows, query.target, logits.cols);
    queries_.push_back({static_cast<int32_t>(query.row), query.target, query.top});
  }
  LogProbCall call;
  call.tokens = tokens.data;
  call.targets = out.targets.data;
  call.top = out.top.data;
  AskAboutLogits(logits, std::ssize(queries), call);
}

}  // namespace atom::kernels::cuda
