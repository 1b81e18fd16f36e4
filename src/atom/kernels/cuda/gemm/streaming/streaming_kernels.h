// Every compiled streaming GEMM kernel, and how one is launched.
#pragma once

#include <array>
#include <cuda_runtime_api.h>
#include <string_view>

#include "atom/kernels/cuda/gemm/streaming/streaming_args.h"
#include "atom/kernels/cuda/gemm/streaming/streaming_shape.h"

namespace atom::kernels::cuda {

/// Named by recipe, tokens of the tile, and what sets it apart: r outputs of a CTA, w ways of
/// K, c CTAs that split K, s CTAs that share x.
enum class StreamKernel {
  kInteger8,
  kInteger8w4,
  kInteger8r256,
  kInteger16,
  kInteger16w4,
  kInteger16r256,
  kInteger32,
  kInteger32w4,
  kInteger64r256,
  kInteger64r128c2,
  kInteger64w4,
  kInt8x8,
  kInt8x16,
  kInt8x64,
  kGroup8,
  kGroup8w4,
  kGroup16,
  kGroup16w4,
  kGroup64r128,
  kGroup64r256,
  kGroup64,
  kW4A16x8,
  kW4A16x8w4,
  kW4A16x8r256,
  kW4A16x16,
  kW4A16x16w4,
  kW4A16x16r256,
  kW4A16x64r256,
  kW4A16x64,
  kW4A16x128,
  kDense8,
  kDense16,
  kDense64,
  kDense64r128,
  kDense256,
  kDense256s2,
};

struct StreamKernelInfo {
  StreamKernel kernel;
  std::string_view name;
  StreamShape shape;
};

inline constexpr std::array kStreamKernels = {
    // kernel, name, {recipe, R, T, W, N, U, cluster, CTAs per multiprocessor, sharing CTAs}
    StreamKernelInfo{
        StreamKernel::kInteger8, "integer_8", {GemmRecipe::kInteger, 1, 1, 2, 8, 2, 1, 2}},
    StreamKernelInfo{
        StreamKernel::kInteger8w4, "integer_8_w4", {GemmRecipe::kInteger, 1, 1, 4, 8, 2, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kInteger8r256, "integer_8_r256", {GemmRecipe::kInteger, 4, 1, 1, 8, 2, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kInteger16, "integer_16", {GemmRecipe::kInteger, 1, 1, 2, 16, 2, 1, 2}},
    StreamKernelInfo{
        StreamKernel::kInteger16w4, "integer_16_w4", {GemmRecipe::kInteger, 1, 1, 4, 16, 2, 1, 1}},
    StreamKernelInfo{StreamKernel::kInteger16r256,
                     "integer_16_r256",
                     {GemmRecipe::kInteger, 4, 1, 1, 16, 2, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kInteger32, "integer_32", {GemmRecipe::kInteger, 2, 1, 2, 32, 2, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kInteger32w4, "integer_32_w4", {GemmRecipe::kInteger, 1, 1, 4, 32, 2, 1, 1}},
    StreamKernelInfo{StreamKernel::kInteger64r256,
                     "integer_64_r256",
                     {GemmRecipe::kInteger, 4, 1, 1, 64, 2, 1, 1}},
    StreamKernelInfo{StreamKernel::kInteger64r128c2,
                     "integer_64_r128_c2",
                     {GemmRecipe::kInteger, 2, 1, 2, 64, 2, 2, 1}},
    StreamKernelInfo{
        StreamKernel::kInteger64w4, "integer_64_w4", {GemmRecipe::kInteger, 1, 1, 4, 64, 2, 1, 1}},
    StreamKernelInfo{StreamKernel::kInt8x8, "int8_8", {GemmRecipe::kInt8, 1, 1, 2, 8, 2, 1, 2}},
    StreamKernelInfo{StreamKernel::kInt8x16, "int8_16", {GemmRecipe::kInt8, 1, 1, 2, 16, 2, 1, 2}},
    StreamKernelInfo{StreamKernel::kInt8x64, "int8_64", {GemmRecipe::kInt8, 2, 1, 2, 64, 2, 1, 1}},
    StreamKernelInfo{StreamKernel::kGroup8, "group_8", {GemmRecipe::kGroup, 1, 1, 2, 8, 2, 1, 2}},
    StreamKernelInfo{
        StreamKernel::kGroup8w4, "group_8_w4", {GemmRecipe::kGroup, 1, 1, 4, 8, 2, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kGroup16, "group_16", {GemmRecipe::kGroup, 1, 1, 2, 16, 2, 1, 2}},
    StreamKernelInfo{
        StreamKernel::kGroup16w4, "group_16_w4", {GemmRecipe::kGroup, 1, 1, 4, 16, 2, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kGroup64r128, "group_64_r128", {GemmRecipe::kGroup, 2, 2, 1, 32, 1, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kGroup64r256, "group_64_r256", {GemmRecipe::kGroup, 4, 1, 1, 64, 1, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kGroup64, "group_64", {GemmRecipe::kGroup, 1, 2, 2, 32, 1, 1, 1}},
    StreamKernelInfo{StreamKernel::kW4A16x8, "w4a16_8", {GemmRecipe::kW4A16, 1, 1, 2, 8, 2, 1, 2}},
    StreamKernelInfo{
        StreamKernel::kW4A16x8w4, "w4a16_8_w4", {GemmRecipe::kW4A16, 1, 1, 4, 8, 2, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kW4A16x8r256, "w4a16_8_r256", {GemmRecipe::kW4A16, 4, 1, 1, 8, 2, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kW4A16x16, "w4a16_16", {GemmRecipe::kW4A16, 1, 1, 2, 16, 2, 1, 2}},
    StreamKernelInfo{
        StreamKernel::kW4A16x16w4, "w4a16_16_w4", {GemmRecipe::kW4A16, 1, 1, 4, 16, 2, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kW4A16x16r256, "w4a16_16_r256", {GemmRecipe::kW4A16, 4, 1, 1, 16, 2, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kW4A16x64r256, "w4a16_64_r256", {GemmRecipe::kW4A16, 4, 1, 1, 64, 1, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kW4A16x64, "w4a16_64", {GemmRecipe::kW4A16, 1, 2, 2, 32, 1, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kW4A16x128, "w4a16_128", {GemmRecipe::kW4A16, 3, 1, 1, 128, 1, 1, 1}},
    StreamKernelInfo{StreamKernel::kDense8, "dense_8", {GemmRecipe::kDense, 1, 1, 1, 8, 1, 1, 2}},
    StreamKernelInfo{
        StreamKernel::kDense16, "dense_16", {GemmRecipe::kDense, 1, 1, 1, 16, 1, 1, 2}},
    StreamKernelInfo{
        StreamKernel::kDense64, "dense_64", {GemmRecipe::kDense, 1, 1, 1, 64, 1, 1, 2}},
    StreamKernelInfo{
        StreamKernel::kDense64r128, "dense_64_r128", {GemmRecipe::kDense, 2, 1, 1, 64, 1, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kDense256, "dense_256", {GemmRecipe::kDense, 2, 1, 1, 256, 1, 1, 1}},
    StreamKernelInfo{
        StreamKernel::kDense256s2, "dense_256_s2", {GemmRecipe::kDense, 2, 1, 1, 256, 1, 1, 1, 2}},
};

constexpr const StreamKernelInfo& Info(StreamKernel kernel) {
  return kStreamKernels[static_cast<size_t>(kernel)];
}
constexpr bool StreamKernelsAreInPlace() {
  for (size_t i = 0; i < kStreamKernels.size(); ++i) {
    if (static_cast<size_t>(kStreamKernels[i].kernel) != i) return false;
  }
  return kStreamKernels.size() == static_cast<size_t>(StreamKernel::kDense256s2) + 1;
}
static_assert(StreamKernelsAreInPlace());

/// What a CTA can have on Hopper; two on a multiprocessor have half each.
inline constexpr int kMaxStreamShared = 232448;

struct StreamLaunch {
  cudaStream_t stream = nullptr;
  bool overlap_previous = false;  ///< as in GemmLaunch
};

/// One kernel's launch; streaming_*.cu instantiate it, streaming_gemm.h chooses.
template <StreamKernel kKernel>
cudaError_t LaunchStream(const StreamingArgs& args, const StreamLayout& layout,
                         const StreamGrid& grid, const StreamLaunch& launch);

}  // namespace atom::kernels::cuda
