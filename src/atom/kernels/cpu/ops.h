// The ops of the cpu backend as functions, one source file a family. Backend (backend.h) says what
// each computes; shapes are checked here.
#pragma once

#include <functional>
#include <span>

#include "atom/core/thread_pool.h"
#include "atom/kernels/backend.h"
#include "atom/kernels/cpu/cpu_activation.h"
#include "atom/kernels/cpu/cpu_kv_layer.h"
#include "atom/kernels/cpu/cpu_weight.h"
#include "atom/kernels/cpu/kernel_table.h"
#include "atom/kernels/cpu/workspace.h"
#include "atom/kernels/host_routing.h"
#include "atom/kernels/host_step.h"

namespace atom::kernels::cpu {

/// What an op runs with.
struct CpuContext {
  const KernelTable& kernels;
  ThreadPool& pool;
  Workspace& workspace;

  /// task(i, worker) for i in [0, tasks). By reference: std::function then allocates nothing.
  template <class Task>
  void ParallelFor(int64_t tasks, const Task& task) const {
    pool.ParallelFor(tasks, std::cref(task));
  }
};

inline float* RowOf(const DeviceTensor& x, int64_t row) {
  return static_cast<float*>(x.data) + row * x.stride;
}

// linear.cc
void Linear(const CpuContext& context, const CpuActivation& x,
            std::span<const PackedWeight* const> weights, const DeviceTensor& y, OutputMode mode);

// mixture.cc
void Route(const CpuContext& context, const DeviceTensor& logits, const RouterShape& shape,
           HostRouting& routing);
void GroupedLinear(const CpuContext& context, const CpuActivation& x, const HostRouting& routing,
                   std::span<const PackedWeight* const> weights, const DeviceTensor& y);
void Combine(const CpuContext& context, const DeviceTensor& x, const HostRouting& routing,
             const DeviceTensor& y, OutputMode mode);

// row_quantizers.cc
void NormQuantize(const CpuContext& context, const DeviceTensor& x, const DeviceNorm& norm,
                  const DeviceBuffer* permutation, CpuActivation& out);
void NormAdd(const CpuContext& context, const DeviceTensor& x, const DeviceNorm& norm,
             const DeviceTensor& y);
void Norm(const CpuContext& context, const DeviceTensor& x, const DeviceNorm& norm,
          const DeviceTensor& y);
void ReorderQuantize(const CpuContext& context, const DeviceTensor& x,
                     const DeviceBuffer* permutation, CpuActivation& out);
void ActivationQuantize(const CpuContext& context, const DeviceTensor& x,
                        ActivationFunction function, bool gated, CpuActivation& out);

// rope_kv.cc
void RopeAppendKv(const CpuContext& context, const StepView& step, const DeviceTensor& qkv,
                  const AttentionShape& shape, const HeadNorms& norms, const RopeTable& rope,
                  CpuKvLayer& kv);

// attention.cc
void Attention(const CpuContext& context, const StepView& step, const DeviceTensor& qkv,
               const AttentionShape& shape, const CpuKvLayer& kv, const DeviceTensor& out);

// model_ends.cc
void Embed(const CpuContext& context, const HostStep& step, const DeviceEmbedding& embedding,
           const DeviceTensor& out);
void GatherLogitRows(const StepView& step, const DeviceTensor& x, const DeviceTensor& out);
void Softcap(const CpuContext& context, const DeviceTensor& x, float cap);
void NegativeLogLikelihood(const CpuContext& context, const DeviceTensor& logits,
                           std::span<const int32_t> targets, DeviceSpan<double> out);
void Sample(const CpuContext& context, const DeviceTensor& logits, std::span<const SampleRow> rows,
            DeviceSpan<int32_t> tokens);
void TokenLogProbs(const CpuContext& context, const DeviceTensor& logits,
                   std::span<const LogProbQuery> queries, DeviceSpan<int32_t> tokens,
                   const DeviceLogProbs& out);

// What each takes of the workspace at the most.
ScratchSize LinearScratch(const LinearPlan& linear, int64_t rows);
ScratchSize GroupedScratch(const LinearPlan& linear, int64_t rows);
ScratchSize RowQuantizerScratch(int64_t k);
ScratchSize RopeKvScratch(const AttentionShape& shape);
ScratchSize AttentionScratch(const AttentionShape& shape, const BatchLimits& limits, int threads);
ScratchSize DecodeScratch(const AttentionShape& shape, const BatchLimits& limits,
                          int threads);  // decode.cc
ScratchSize LogitScratch(int64_t vocabulary);

}  // namespace atom::kernels::cpu
