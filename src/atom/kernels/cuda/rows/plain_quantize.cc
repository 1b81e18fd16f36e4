#include "atom/kernels/cuda/rows/plain_quantize.h"

#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {

Status LaunchPlainQuantize(const PlainQuantizeCall& call, cudaStream_t stream) {
  constexpr int kMaxColumns = 56000;  // a block's shared memory holds them as fp32
  if (call.columns > kMaxColumns) {
    return MakeError("quantization on the GPU: rows of {} values, at most {}", call.columns,
                     kMaxColumns);
  }
  const int low = call.columns - call.outliers;
  ATOM_CHECK(low >= 0 && low % 4 == 0 &&
                 (call.group == 0 || (call.group % 4 == 0 && low % call.group == 0)),
             "{} columns, {} of them outliers, groups of {}", call.columns, call.outliers,
             call.group);
  if (call.rows == 0) return {};
  return Check(EnqueuePlainQuantize(call, stream), "launch quantization");
}

}  // namespace atom::kernels::cuda
