#include "atom/kernels/cuda/gemm/tensor_map.h"

#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {
namespace {

// The driver's own function; asked for at run time, so that nothing links against the driver.
Status FindEncode(PFN_cuTensorMapEncodeTiled_v12000& encode) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t code = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function,
                                                            12000, cudaEnableDefault, &found);
  if (Status status = Check(code, "look up cuTensorMapEncodeTiled"); !status.ok()) return status;
  if (found != cudaDriverEntryPointSuccess || function == nullptr) {
    return Error{"the driver has no cuTensorMapEncodeTiled: it is older than CUDA 12.0"};
  }
  encode = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  return Status();
}

}  // namespace

bool HasTensorMap(const MatrixView& matrix) {
  return matrix.type != GemmOutput::kFloat && reinterpret_cast<uintptr_t>(matrix.data) % 16 == 0 &&
         matrix.stride * 2 % 16 == 0 && matrix.cols * 2 % 16 == 0;
}

Status MakeTensorMap(const MatrixView& matrix, int box_rows, CUtensorMap& map) {
  PFN_cuTensorMapEncodeTiled_v12000 encode = nullptr;
  if (Status status = FindEncode(encode); !status.ok()) return status;
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(matrix.cols),
                               static_cast<cuuint64_t>(matrix.rows)};
  const cuuint64_t strides[1] = {static_cast<cuuint64_t>(matrix.stride) * 2};
  const cuuint32_t box[2] = {64, static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[2] = {1, 1};
  const CUresult code = encode(&map,
                               matrix.type == GemmOutput::kHalf ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                                                : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                               2, matrix.data, sizes, strides, box, steps,
                               CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                               CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (code != CUDA_SUCCESS) {
    return Error{fmt::format("no tensor map for {} × {} values, rows {} apart: driver error {}",
                             matrix.rows, matrix.cols, matrix.stride, static_cast<int>(code))};
  }
  return Status();
}

}  // namespace atom::kernels::cuda
