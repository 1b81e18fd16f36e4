#include "atom/kernels/step_results.h"

namespace atom::kernels {
namespace {

/// losses [rows] f64 | top [rows][kMostTopTokens] | log_probs [rows] f32 | tokens [rows] i32
struct Places {
  explicit Places(int64_t rows)
      : top(rows * static_cast<int64_t>(sizeof(double))),
        log_probs(top + rows * kMostTopTokens * static_cast<int64_t>(sizeof(TokenValue))),
        tokens(log_probs + rows * static_cast<int64_t>(sizeof(float))),
        end(tokens + rows * static_cast<int64_t>(sizeof(int32_t))) {}
  int64_t losses = 0;
  int64_t top;
  int64_t log_probs;
  int64_t tokens;
  int64_t end;
};

template <class T>
DeviceSpan<T> At(const DeviceBuffer& buffer, int64_t offset, int64_t count) {
  return {reinterpret_cast<T*>(static_cast<std::byte*>(buffer.data()) + offset), count};
}

template <class T>
std::span<const T> At(const HostBuffer& buffer, int64_t offset, int64_t count) {
  return {reinterpret_cast<const T*>(buffer.data() + offset), static_cast<size_t>(count)};
}

}  // namespace

StepResults::StepResults(Backend& backend, int64_t rows)
    : backend_(&backend),
      rows_(rows),
      device_(backend.Allocate(static_cast<size_t>(Bytes(rows)))),
      host_(backend.AllocateHost(static_cast<size_t>(Bytes(rows)))) {}

int64_t StepResults::Bytes(int64_t rows) { return Places(rows).end; }

DeviceSpan<int32_t> StepResults::tokens() const {
  return At<int32_t>(device_, Places(rows_).tokens, rows_);
}
DeviceSpan<double> StepResults::losses() const {
  return At<double>(device_, Places(rows_).losses, rows_);
}
DeviceLogProbs StepResults::log_probs() const {
  return {.targets = At<float>(device_, Places(rows_).log_probs, rows_),
          .top = At<TokenValue>(device_, Places(rows_).top, rows_ * kMostTopTokens)};
}

void StepResults::FetchTokens(int64_t count) {
  Fetch(Places(rows_).tokens, count * static_cast<int64_t>(sizeof(int32_t)));
}
void StepResults::FetchLosses(int64_t count) {
  Fetch(Places(rows_).losses, count * static_cast<int64_t>(sizeof(double)));
}
void StepResults::FetchLogProbs(int64_t count) {
  Fetch(Places(rows_).log_probs, count * static_cast<int64_t>(sizeof(float)));
  Fetch(Places(rows_).top, count * kMostTopTokens * static_cast<int64_t>(sizeof(TokenValue)));
}

void StepResults::Fetch(int64_t offset, int64_t bytes) {
  if (bytes == 0) return;
  backend_->EnqueueDownload(static_cast<const std::byte*>(device_.data()) + offset,
                            {host_.data() + offset, static_cast<size_t>(bytes)});
}

std::span<const int32_t> StepResults::host_tokens() const {
  return At<int32_t>(host_, Places(rows_).tokens, rows_);
}
std::span<const double> StepResults::host_losses() const {
  return At<double>(host_, Places(rows_).losses, rows_);
}
std::span<const float> StepResults::host_log_probs() const {
  return At<float>(host_, Places(rows_).log_probs, rows_);
}
std::span<const TokenValue> StepResults::host_top(int64_t query) const {
  return At<TokenValue>(host_, Places(rows_).top, rows_ * kMostTopTokens)
      .subspan(static_cast<size_t>(query * kMostTopTokens), kMostTopTokens);
}

}  // namespace atom::kernels
