#include "atom/kernels/cuda/backend/cuda_step.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/kernels/cuda/attention/attention.h"
#include "atom/kernels/cuda/attention/kv_fragments.h"
#include "atom/kernels/cuda/backend/decode_padding.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/decode_step.h"

namespace atom::kernels::cuda {
namespace {

constexpr int64_t kLeastRing = int64_t{1} << 20;

/// What decode attention needs of the plan's largest layer.
struct AttentionBytes {
  int64_t workspace = kDeviceAlignment, counters = kDeviceAlignment;
};

AttentionBytes BytesOfAttention(const StepPlan& plan) {
  AttentionBytes most;
  const auto sequences = static_cast<int>(plan.batch.sequences);
  for (const AttentionShape& shape : plan.attention) {
    KvPages kv;
    kv.kv_heads = static_cast<int>(shape.kv_heads);
    kv.head_dim = static_cast<int>(shape.head_dim);
    AttentionParams params;
    params.heads = static_cast<int>(shape.heads);
    most.workspace =
        std::max(most.workspace, DecodeWorkspaceBytes(kv, params, sequences, plan.batch.pages));
    most.counters = std::max(most.counters, DecodeCounterBytes(kv, params, sequences));
  }
  return most;
}

int64_t SoftmaxEndBytes(const StepPlan& plan) {
  if (plan.batch.exact_pages == 0) return 0;
  int64_t heads = 0;
  for (const AttentionShape& shape : plan.attention) heads = std::max(heads, shape.heads);
  return plan.batch.rows * heads * static_cast<int64_t>(sizeof(SoftmaxEnds));
}

/// Each the larger, and what is in either.
StepPlan Most(const StepPlan& a, const StepPlan& b) {
  StepPlan most = a;
  most.batch = BatchLimits::Most(a.batch, b.batch);
  most.attention.insert(most.attention.end(), b.attention.begin(), b.attention.end());
  most.vocabulary = std::max(a.vocabulary, b.vocabulary);
  return most;
}

/// The batch without pages that no position has come to yet, and the exact ones beside these:
/// kernels take lists of exactly the pages that they read.
void Trim(const Batch& batch, Batch& trimmed) {
  trimmed = batch;
  trimmed.pages.clear();
  trimmed.page_starts.assign(1, 0);
  trimmed.exact_pages.clear();
  trimmed.exact_starts.assign(1, 0);
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const auto used =
        static_cast<size_t>(PagesFor(batch.kv_lengths[static_cast<size_t>(s)], kPagePositions));
    const std::span<const int32_t> pages = batch.PagesOf(s);
    const size_t unused = pages.size() - used;
    trimmed.pages.insert(trimmed.pages.end(), pages.begin(), pages.end() - unused);
    trimmed.page_starts.push_back(static_cast<int32_t>(trimmed.pages.size()));
    if (batch.exact_pages.empty()) continue;
    const std::span<const int32_t> exact = batch.ExactPagesOf(s);
    trimmed.exact_pages.insert(trimmed.exact_pages.end(), exact.begin(),
                               exact.end() - std::min(unused, exact.size()));
    trimmed.exact_starts.push_back(static_cast<int32_t>(trimmed.exact_pages.size()));
  }
}

}  // namespace

ScratchSizes::ScratchSizes(const StepPlan& unpadded, const DeviceProperties& device) {
  StepPlan plan = unpadded;
  plan.batch = WithPadding(plan.batch);
  const auto up = [](int64_t bytes) {
    return (bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
  };
  constexpr int64_t kWord = sizeof(int32_t);
  const auto vocabulary = static_cast<int>(std::max<int64_t>(plan.vocabulary, 1));
  const int64_t rows = std::max<int64_t>(plan.batch.rows, 1);
  arena = up(StepArena(plan.batch).size() * kWord);
  slots = up((plan.batch.sequences + 1) * kWord);
  choices = up(rows * static_cast<int64_t>(sizeof(TokenChoice)));
  edits = up(std::max<int64_t>(vocabulary * static_cast<int64_t>(sizeof(LogitEdit)), kLeastRing));
  masks = up(std::max<int64_t>((vocabulary + 63) / 64 * 8, kLeastRing));
  logits = up(std::max(SampleWorkspaceBytes(vocabulary, device.multiprocessors),
                       LogProbWorkspaceBytes(vocabulary, static_cast<int>(rows))));
  attention = up(BytesOfAttention(plan).workspace);
  counters = up(BytesOfAttention(plan).counters);
  ends = up(SoftmaxEndBytes(plan));
  ring = std::max({arena, choices, edits, masks});
}

Status CudaStep::Prepare(const StepPlan& plan, const DeviceProperties& device,
                         const Stream& stream) {
  StepPlan padded = plan;
  padded.batch = WithPadding(plan.batch);
  const StepPlan most = Most(plan_, padded);
  const ScratchSizes sizes(most, device);
  // Nothing of the old is needed any more.
  memory_.reset();
  ring_.reset();
  begun_ = false;
  Result<DeviceArena> memory = DeviceArena::Create(sizes.device_bytes() + kDeviceAlignment);
  if (!memory.ok()) return memory.error();
  memory_.emplace(std::move(memory).value());
  Result<UploadRing> ring = UploadRing::Create(sizes.ring);
  if (!ring.ok()) return ring.error();
  ring_.emplace(std::move(ring).value());
  const auto take = [&](const char* name, int64_t bytes) {
    return memory_->Take<std::byte>(name, bytes).value();  // as many as were just planned
  };
  arena_data_ = reinterpret_cast<int32_t*>(take("step", sizes.arena));
  slots_ = reinterpret_cast<int32_t*>(take("token slots", sizes.slots));
  choices_ = reinterpret_cast<TokenChoice*>(take("sampled rows", sizes.choices));
  edits_ = reinterpret_cast<LogitEdit*>(take("logit edits", sizes.edits));
  masks_ = reinterpret_cast<uint64_t*>(take("token masks", sizes.masks));
  logits_workspace_ = take("logits workspace", sizes.logits);
  attention_workspace_ = take("attention workspace", sizes.attention);
  attention_counters_ = take("attention counters", sizes.counters);
  softmax_ends_ = reinterpret_cast<SoftmaxEnds*>(take("ends of softmaxes", sizes.ends));
  softmax_end_capacity_ = sizes.ends / static_cast<int64_t>(sizeof(SoftmaxEnds));
  edit_capacity_ = sizes.edits / static_cast<int64_t>(sizeof(LogitEdit));
  mask_capacity_ = sizes.masks / static_cast<int64_t>(sizeof(uint64_t));
  plan_ = most;
  arena_ = StepArena(most.batch);
  packed_.resize(static_cast<size_t>(arena_.size()));
  // Decode attention counts arrivals there, from 0, and leaves 0.
  return Check(
      cudaMemsetAsync(attention_counters_, 0, static_cast<size_t>(sizes.counters), stream.get()),
      "clear the counters of attention");
}

bool CudaStep::HasRoom(const BatchLimits& needed) const {
  const BatchLimits& room = arena_.limits();
  const BatchLimits padded = WithPadding(needed);
  return padded.rows <= room.rows && padded.sequences <= room.sequences &&
         padded.pages <= room.pages && padded.exact_pages <= room.exact_pages;
}

Status CudaStep::Begin(const Batch& batch, const Stream& stream) {
  Trim(batch, trimmed_);
  int64_t rows = batch.rows();
  if (Decodes(batch)) {
    PadDecodeStep(trimmed_);
    rows = RowBucketOf(rows);
  }
  arena_.Pack(trimmed_, rows, packed_);
  view_ = arena_.View(trimmed_, rows, arena_data_);
  FindRuns(trimmed_);
  begun_ = true;
  return Upload<int32_t>(std::span(packed_).first(static_cast<size_t>(arena_.used(trimmed_))),
                         arena_data_, stream);
}

SoftmaxEnds* CudaStep::softmax_ends(int64_t count) const {
  ATOM_CHECK(count <= softmax_end_capacity_, "{} ends of softmaxes, room for {}", count,
             softmax_end_capacity_);
  return softmax_ends_;
}

const StepView& CudaStep::view() const {
  ATOM_CHECK(begun_, "no step has begun");
  return view_;
}

void CudaStep::FindRuns(const Batch& batch) {
  runs_.clear();
  for (int s = 0; s < static_cast<int>(batch.sequences()); ++s) {
    const int first_row = batch.query_starts[static_cast<size_t>(s)];
    const int queries = batch.query_starts[static_cast<size_t>(s) + 1] - first_row;
    const bool decode = queries == 1;
    if (runs_.empty() || decode != (runs_.back().max_queries == 1)) {
      runs_.push_back({.first = s, .count = 0, .first_row = first_row, .max_queries = queries});
    }
    ++runs_.back().count;
    runs_.back().max_queries = std::max(runs_.back().max_queries, queries);
  }
}

}  // namespace atom::kernels::cuda
