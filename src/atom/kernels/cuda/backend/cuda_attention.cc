// RopeAppendKv and Attention: chunks of one query go to the decode kernel, longer ones to the
// prefill kernel, in runs of sequences; behind prefill comes the kernel of the exact window.
#include <algorithm>

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

PageLists ListsOf(const StepView& step, const SequenceRun& run) {
  PageLists lists;
  lists.indptr = step.page_starts.data() + run.first;
  lists.indices = step.pages.data();
  lists.kv_lengths = step.kv_lengths.data() + run.first;
  lists.sequences = run.count;
  return lists;
}

PageLists ExactListsOf(const StepView& step, const SequenceRun& run) {
  PageLists lists = ListsOf(step, run);
  lists.indptr = step.exact_starts.data() + run.first;
  lists.indices = step.exact_pages.data();
  return lists;
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
  const quant::KvFormat& format = kv.shape().format;
  const StepView& step = step_.view();
  CudaKvLayer& layer = CudaKvLayer::Of(kv);
  const auto floats = [](const DeviceBuffer* buffer) {
    return buffer == nullptr ? nullptr : static_cast<const float*>(buffer->data());
  };
  AppendKv call;
  call.qkv = RowsOf(qkv);
  call.tokens = static_cast<int>(qkv.rows);
  call.heads = static_cast<int>(shape.heads);
  call.kv = layer.kernel_pages();
  call.positions = step.positions.data();
  call.slots = step.kv_slots.data();
  if (format.exact_window > 0) {
    ATOM_CHECK(kv.exact() != nullptr && !step.exact_slots.empty(),
               "an exact window, and exact pages of the {} are missing",
               kv.exact() == nullptr ? "layer" : "step");
    call.exact = CudaKvLayer::Of(*kv.exact()).kernel_pages();
    call.exact_slots = step.exact_slots.data();
  }
  call.q_norm = floats(norms.q);
  call.k_norm = floats(norms.k);
  call.norm_epsilon = norms.eps;
  call.rope = floats(rope.table);
  call.rotary_dim = static_cast<int>(rope.rotary_dim);
  call.key_mean = floats(&layer.key_mean);
  call.hadamard = format.hadamard;
  call.clip = floats(&layer.clip);
  call.fake_bits = format.fake_bits;
  call.integer_zero = format.offset == quant::KvOffset::kInteger;
  const OpKey key({Word(Op::kAppend), Word(call.qkv.data), Word(call.qkv.stride),
                   Word(call.tokens, call.heads), Word(call.kv.data), Word(call.slots),
                   Word(call.exact.data), Word(call.exact_slots), Word(call.q_norm),
                   Word(call.k_norm), Word(call.norm_epsilon), Word(call.rope),
                   Word(int64_t{call.rotary_dim}), Word(call.clip)});
  ops_.Add(key, true, [call](cudaStream_t stream) { return LaunchAppendKv(call, stream); });
}

void CudaBackend::Attention(const DeviceTensor& qkv, const AttentionShape& shape, const KvLayer& kv,
                            const DeviceTensor& out) {
  const StepView& step = step_.view();
  AttentionParams params = ParamsOf(shape);
  params.exact_window = static_cast<int>(kv.shape().format.exact_window);
  if (params.softcap > 0.0f) {
    params.key_mean = static_cast<const float*>(CudaKvLayer::Of(kv).rotated_mean.data());
  }
  for (const SequenceRun& run : step_.runs()) {
    if (run.max_queries == 0) continue;
    if (run.max_queries == 1) {
      Decode(run, params, qkv, kv, out);
    } else {
      PrefillAttention call;
      if (params.exact_window > 0) call.ends = step_.softmax_ends(qkv.rows * shape.heads);
      call.params = params;
      call.q = RowsOf(qkv);  // query_starts count from the step's first row
      call.out = RowsOf(out);
      call.query_starts = step.query_starts.data() + run.first;
      call.max_queries = run.max_queries;
      call.kv = CudaKvLayer::Of(kv).kernel_pages();
      call.lists = ListsOf(step, run);
      ops_.Add({}, false,
               [call](cudaStream_t stream) { return LaunchPrefillAttention(call, stream); });
      if (params.exact_window > 0) AttendExactly(run, call, kv);
    }
  }
}

void CudaBackend::Decode(const SequenceRun& run, const AttentionParams& params,
                         const DeviceTensor& qkv, const KvLayer& kv, const DeviceTensor& out) {
  DecodeAttention call;
  call.params = params;
  call.q = From(RowsOf(qkv), run.first_row);
  call.out = From(RowsOf(out), run.first_row);
  call.kv = CudaKvLayer::Of(kv).kernel_pages();
  call.lists = ListsOf(step_.view(), run);
  // Not those of padding where tensors have no rows for it.
  call.lists.sequences = static_cast<int>(std::min<int64_t>(run.count, out.rows - run.first_row));
  if (params.exact_window > 0) {
    call.exact = CudaKvLayer::Of(*kv.exact()).kernel_pages();
    call.exact_lists = ExactListsOf(step_.view(), run);
    call.exact_lists.sequences = call.lists.sequences;
  }
  call.counters = step_.attention_counters();
  call.workspace = step_.attention_workspace();
  // The kernel finds lengths and pages on the device, and has one grid for any.
  const OpKey key({Word(Op::kAttend), Word(call.q.data), Word(call.out.data), Word(call.q.stride),
                   Word(call.out.stride), Word(call.lists.indptr),
                   Word(int64_t{call.lists.sequences}), Word(call.kv.data), Word(params.scale),
                   Word(params.softcap), Word(params.window, params.heads),
                   Word(int64_t{params.exact_window}), Word(call.exact.data),
                   Word(call.exact_lists.indptr)});
  ops_.Add(key, true, [call](cudaStream_t stream) { return LaunchDecodeAttention(call, stream); });
}

void CudaBackend::AttendExactly(const SequenceRun& run, const PrefillAttention& before,
                                const KvLayer& kv) {
  ExactAttention call;
  call.params = before.params;
  call.q = before.q;
  call.out = before.out;
  call.ends = before.ends;
  call.query_starts = before.query_starts;
  call.max_queries = before.max_queries;
  call.kv = CudaKvLayer::Of(*kv.exact()).kernel_pages();
  call.lists = ExactListsOf(step_.view(), run);
  // The grid follows from the longest chunk.
  ops_.Add({}, false, [call](cudaStream_t stream) { return LaunchExactAttention(call, stream); });
}

}  // namespace atom::kernels::cuda
