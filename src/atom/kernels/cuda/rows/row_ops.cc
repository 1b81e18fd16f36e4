#include "atom/kernels/cuda/rows/row_ops.h"

#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {
namespace {

bool Even(const Rows& rows) { return rows.data == nullptr || rows.stride % 2 == 0; }

/// Kernels move two values at a time.
Status CheckEven(std::string_view op, int cols, bool strides) {
  if (cols > 0 && cols % 2 == 0 && strides) return {};
  return MakeError("{} on the GPU: rows of {} values, or their strides, are not even", op, cols);
}

}  // namespace

Status LaunchEmbed(const EmbedCall& call, cudaStream_t stream) {
  const bool even = Even(call.table) && Even(call.learned) && Even(call.out);
  if (Status status = CheckEven("embed", call.cols, even); !status.ok()) return status;
  if (call.rows == 0) return {};
  return Check(EnqueueEmbed(call, stream), "launch embed");
}

Status LaunchGather(const GatherCall& call, cudaStream_t stream) {
  const bool even = Even(call.x) && Even(call.out);
  if (Status status = CheckEven("gather", call.cols, even); !status.ok()) return status;
  if (call.count == 0) return {};
  return Check(EnqueueGather(call, stream), "launch gather");
}

Status LaunchNorm(const NormCall& call, cudaStream_t stream) {
  const bool even = Even(call.x) && Even(call.out);
  if (Status status = CheckEven("norm", call.cols, even); !status.ok()) return status;
  if (call.cols > kMaxNormColumns) {
    return MakeError("norm on the GPU: rows of {} values, at most {}", call.cols, kMaxNormColumns);
  }
  if (call.rows == 0) return {};
  return Check(EnqueueNorm(call, stream), "launch norm");
}

Status LaunchSoftcap(const SoftcapCall& call, cudaStream_t stream) {
  if (call.rows == 0) return {};
  return Check(EnqueueSoftcap(call, stream), "launch softcap");
}

}  // namespace atom::kernels::cuda
