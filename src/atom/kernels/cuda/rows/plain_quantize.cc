#include "atom/kernels/cuda/rows/plain_quantize.h"

#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {

Status LaunchPlainQuantize(const PlainQuantizeCall& call, cudaStream_t stream) {
  constexpr int kMaxFloats = 56000;  // that a block's shared memory holds
  const int most = call.hadamard > 0 || call.two_level ? kMaxFloats / 2 : kMaxFloats;
  if (call.columns > most) {
    return MakeError("quantization on the GPU: rows of {} values, at most {}", call.columns, most);
  }
  const int low = call.columns - call.outliers;
  ATOM_CHECK(low >= 0 && low % 4 == 0 &&
                 (call.group == 0 || (call.group % 4 == 0 && low % call.group == 0)),
             "{} columns, {} of them outliers, groups of {}", call.columns, call.outliers,
             call.group);
  ATOM_CHECK(call.hadamard == 0 || (low % call.hadamard == 0 && call.hadamard % 2 == 0),
             "{} columns rotated in blocks of {}", low, call.hadamard);
  if (call.rows == 0) return {};
  if (IsDenseNorm(call)) return Check(EnqueueDenseNorm(call, stream), "launch a norm to 16 bits");
  return Check(EnqueuePlainQuantize(call, stream), "launch quantization");
}

}  // namespace atom::kernels::cuda
