#include "atom/kernels/cuda/attention/attention.h"

#include "atom/kernels/cuda/attention/append.h"
#include "atom/kernels/cuda/attention/decode.h"
#include "atom/kernels/cuda/attention/dispatch.h"
#include "atom/kernels/cuda/attention/exact.h"
#include "atom/kernels/cuda/attention/kv_fragments.h"
#include "atom/kernels/cuda/attention/prefill.h"
#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {
namespace {

Status CheckShapes(const AttentionParams& params, const KvPages& kv) {
  switch (kv.head_dim) {
    case 64:
    case 80:
    case 96:
    case 128:
    case 256:
      break;
    default:
      return MakeError(
          "attention on CUDA: head_dim is {}; there are kernels for 64, 80, 96, 128 "
          "and 256",
          kv.head_dim);
  }
  switch (kv.storage) {
    case KvStorage::kInt4:
    case KvStorage::kInt8:
    case KvStorage::kF16:
      break;
    default:
      return MakeError(
          "attention on CUDA: the cache holds {}; there are kernels for int4, int8 "
          "and f16",
          quant::Name(kv.storage));
  }
  ATOM_CHECK(kv.kv_heads > 0 && params.heads % kv.kv_heads == 0, "{} heads, {} KV heads",
             params.heads, kv.kv_heads);
  ATOM_CHECK(params.heads / kv.kv_heads <= 128, "{} heads, {} KV heads", params.heads, kv.kv_heads);
  return {};
}

void CheckExactWindow(const AttentionParams& params, const KvPages& exact) {
  const bool complete = exact.data != nullptr && exact.storage == KvStorage::kF16;
  ATOM_CHECK(params.exact_window % kPagePositions == 0 && (params.exact_window == 0 || complete),
             "an exact window of {} in pages of {}", params.exact_window,
             quant::Name(exact.storage));
}

/// What is captured begins when everything has ended that the stream had before, copies too.
bool IsCaptured(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  return cudaStreamIsCapturing(stream, &status) == cudaSuccess &&
         status == cudaStreamCaptureStatusActive;
}

Result<int> Multiprocessors() {
  int device = 0, count = 0;
  if (Status status = Check(cudaGetDevice(&device), "find the current GPU"); !status.ok()) {
    return status.error();
  }
  if (Status status = Check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device),
                            "count the multiprocessors");
      !status.ok()) {
    return status.error();
  }
  return count;
}

}  // namespace

int64_t KvPages::PageBytes() const {
  return static_cast<int64_t>(kv_heads) * HeadPageBytes(storage, head_dim);
}

Status LaunchAppendKv(const AppendKv& call, cudaStream_t stream) {
  AttentionParams params;
  params.heads = call.heads;
  if (Status status = CheckShapes(params, call.kv); !status.ok()) return status;
  if (call.tokens == 0) return {};
  AppendKv launch = call;
  launch.lists_are_older = IsCaptured(stream);
  const cudaError_t launched = WithHeadDim(
      call.kv.head_dim, [&](auto d) { return append::Launch<d.value>(launch, stream); });
  return Check(launched, "launch the KV append");
}

int64_t DecodeCounterBytes(const KvPages& kv, const AttentionParams& params, int sequences) {
  return decode::CounterBytes(sequences, kv.kv_heads, params.heads / kv.kv_heads);
}

int64_t DecodeWorkspaceBytes(const KvPages& kv, const AttentionParams& params, int sequences,
                             int64_t pages) {
  const int group = params.heads / kv.kv_heads;
  const int64_t segments = (pages + int64_t{15} * sequences) / 16 + 1;
  return segments * kv.kv_heads * decode::Passes(group) * decode::PartialBytes(kv.head_dim);
}

Status LaunchDecodeAttention(const DecodeAttention& call, cudaStream_t stream) {
  if (Status status = CheckShapes(call.params, call.kv); !status.ok()) return status;
  CheckExactWindow(call.params, call.exact);
  if (call.lists.sequences == 0) return {};
  const Result<int> multiprocessors = Multiprocessors();
  if (!multiprocessors.ok()) return multiprocessors.error();
  DecodeAttention launch = call;
  launch.lists_are_older = IsCaptured(stream);
  const cudaError_t launched = WithHeadDim(call.kv.head_dim, [&](auto d) {
    return decode::Launch<d.value>(launch, *multiprocessors, stream);
  });
  return Check(launched, "launch decode attention");
}

Status LaunchPrefillAttention(const PrefillAttention& call, cudaStream_t stream) {
  if (Status status = CheckShapes(call.params, call.kv); !status.ok()) return status;
  const int group = call.params.heads / call.kv.kv_heads;
  if (group > prefill::TileRows(call.kv.head_dim)) {
    return MakeError("attention on CUDA: {} heads share a KV head of {} channels; up to {} can",
                     group, call.kv.head_dim, prefill::TileRows(call.kv.head_dim));
  }
  if (call.lists.sequences == 0 || call.max_queries == 0) return {};
  const cudaError_t launched =
      WithHeadDim(call.kv.head_dim, [&](auto d) { return prefill::Launch<d.value>(call, stream); });
  return Check(launched, "launch prefill attention");
}

Status LaunchExactAttention(const ExactAttention& call, cudaStream_t stream) {
  if (Status status = CheckShapes(call.params, call.kv); !status.ok()) return status;
  CheckExactWindow(call.params, call.kv);
  ATOM_CHECK(call.ends != nullptr && call.out.type == RowType::kF32,
             "exact positions are merged with rows in fp32, and their ends");
  if (call.lists.sequences == 0 || call.max_queries == 0) return {};
  return Check(EnqueueExactAttention(call, stream), "launch attention to the exact window");
}

}  // namespace atom::kernels::cuda
