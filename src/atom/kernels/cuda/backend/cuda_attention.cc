// RopeAppendKv and Attention: chunks of one query go to the decode kernel, longer ones to the
// prefill kernel, in runs of sequences.
#include "atom/core/check.h"
#include "atom/kernels/cuda/attention/attention.h"
#include "atom/kernels/cuda/backend/cuda_backend.h"

namespace atom::kernels::cuda {
namespace {

AttentionParams ParamsOf(const AttentionShape& shape) {
  AttentionParams params;
  params.heads = static_cast<int>(shape.heads);
  params.scale = 1.0f / shape.ScoreDivisor();
  params.window = static_cast<int>(shape.window);
  params.softcap = shape.softcap;
  return params;
}

/// Rows of a run, the others left out.
Rows From(const Rows& rows, int first) {
  Rows from = rows;
  from.data = static_cast<std::byte*>(rows.data) + first * rows.stride * RowTypeBytes(rows.type);
  return from;
}

}  // namespace

void CudaBackend::RopeAppendKv(const DeviceTensor& qkv, const AttentionShape& shape,
                               const HeadNorms& norms, const RopeTable& rope, KvLayer& kv) {
  if (norms.q != nullptr || norms.k != nullptr) {
    throw DeviceError("norms of q and k heads: the CUDA backend has no kernel for them yet");
  }
  if (rope.table != nullptr && rope.rotary_dim != shape.head_dim) {
    throw DeviceError(fmt::format("{} of {} channels rotated: the CUDA backend rotates whole heads",
                                  rope.rotary_dim, shape.head_dim));
  }
  const StepView& step = step_.view();
  CudaKvLayer& layer = CudaKvLayer::Of(kv);
  AppendKv call;
  call.qkv = RowsOf(qkv);
  call.tokens = static_cast<int>(qkv.rows);
  call.heads = static_cast<int>(shape.heads);
  call.kv = layer.kernel_pages();
  call.positions = step.positions.data();
  call.slots = step.kv_slots.data();
  call.rope = rope.table == nullptr ? nullptr : static_cast<const float*>(rope.table->data());
  call.clip = static_cast<const float*>(layer.clip.data());
  call.integer_zero = true;
  const OpKey key({Word(Op::kAppend), Word(call.qkv.data), Word(call.qkv.stride),
                   Word(call.tokens, call.heads), Word(call.kv.data), Word(call.slots),
                   Word(call.rope), Word(call.clip)});
  ops_.Add(key, true, [call](cudaStream_t stream) { return LaunchAppendKv(call, stream); });
}

void CudaBackend::Attention(const DeviceTensor& qkv, const AttentionShape& shape, const KvLayer& kv,
                            const DeviceTensor& out) {
  const StepView& step = step_.view();
  const KvPages pages = CudaKvLayer::Of(kv).kernel_pages();
  for (const SequenceRun& run : step_.runs()) {
    if (run.max_queries == 0) continue;
    PageLists lists;
    lists.indptr = step.page_starts.data() + run.first;
    lists.indices = step.pages.data();
    lists.kv_lengths = step.kv_lengths.data() + run.first;
    lists.sequences = run.count;
    if (run.max_queries == 1) {
      DecodeAttention call;
      call.params = ParamsOf(shape);
      call.q = From(RowsOf(qkv), run.first_row);
      call.out = From(RowsOf(out), run.first_row);
      call.kv = pages;
      call.lists = lists;
      call.workspace = step_.attention_workspace();
      // The kernel finds lengths and pages on the device, and has one grid for any.
      const OpKey key({Word(Op::kAttend), Word(call.q.data), Word(call.out.data),
                       Word(call.q.stride), Word(call.out.stride), Word(lists.indptr),
                       Word(int64_t{run.count}), Word(pages.data), Word(call.params.scale),
                       Word(call.params.softcap), Word(call.params.window, call.params.heads)});
      ops_.Add(key, true,
               [call](cudaStream_t stream) { return LaunchDecodeAttention(call, stream); });
    } else {
      PrefillAttention call;
      call.params = ParamsOf(shape);
      call.q = RowsOf(qkv);  // query_starts count from the step's first row
      call.out = RowsOf(out);
      call.query_starts = step.query_starts.data() + run.first;
      call.max_queries = run.max_queries;
      call.kv = pages;
      call.lists = lists;
      ops_.Add({}, false,
               [call](cudaStream_t stream) { return LaunchPrefillAttention(call, stream); });
    }
  }
}

}  // namespace atom::kernels::cuda
