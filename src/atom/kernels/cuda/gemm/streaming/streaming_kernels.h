// Every compiled streaming GEMM kernel, and how one is launched.
#pragma once

#include <array>
#include <cuda_runtime_api.h>
#include <string_view>

#include "atom/kernels/cuda/gemm/streaming/streaming_args.h"
#include "atom/kernels/cuda/gemm/streaming/streaming_shape.h"

namespace atom::kernels::cuda {

/// Named by recipe, tokens of the tile, and what sets it apart: r outputs of a CTA, t slices of the
/// tokens, w ways of K, u K blocks of a slot, c CTAs that split K, g columns of a group.
enum class StreamKernel {
  kInteger8,
  kInteger8w4,
  kInteger16,
  kInteger16w4,
  kInteger16c2,
  kInteger32,
  kInteger32w4,
  kInteger32r256,
  kInteger64w4,
  kInteger64r256,
  kInt8x8,
  kInt8x16,
  kInt8x64,
  kGroup8,
  kGroup8w4,
  kGroup16,
  kGroup16w4,
  kGroup16r256,
  kGroup32t2,
  kGroup32t2w1,
  kGroup64t2,
  kGroup64t2w1,
  kGroup64r128,
  kGroup64r192,
  kGroup64r256,
  kW4A16x8,
  kW4A16x8w4,
  kW4A16x8r256,
  kW4A16x16,
  kW4A16x16w4,
  kW4A16x16r256,
  kW4A16x32t2,
  kW4A16x64t2,
  kW4A16x64r256,
  kW4A16x128,
  kW4A16x8g64,
  kW4A16x16g64,
  kW4A16x64g64,
  kW4A16x64r256g64,
  kDense8,
  kDense16,
  kDense16u2,
  kDense64,
  kDense64u2,
  kExpertInteger16,
  kExpertInteger16w4,
  kExpertInteger64r256,
  kExpertGroup16,
  kExpertGroup16w4,
  kExpertGroup64r256,
  kExpertInt8x16,
  kExpertInt8x64,
  kExpertW4A16x16,
  kExpertW4A16x16w4,
  kExpertW4A16x64r256,
  kExpertW4A16x16g64,
  kExpertW4A16x64r256g64,
  kExpertDense16,
  kExpertDense64,
  kExpertDense256,
};

struct StreamKernelInfo {
  StreamKernel kernel;
  std::string_view name;
  StreamShape shape;
  int block_clocks;  ///< measured: what a K block takes a CTA (docs/performance-gpu.md)
};

namespace streaming_internal {

constexpr auto MakeStreamKernels() {
  using enum GemmRecipe;
  using enum StreamKernel;
  return std::array{
      // kernel, name, {recipe, R, T, W, N, U, cluster, CTAs per multiprocessor, G}, block_clocks
      StreamKernelInfo{kInteger8, "integer_8", {kInteger, 1, 1, 2, 8, 2, 1, 2}, 370},
      StreamKernelInfo{kInteger8w4, "integer_8_w4", {kInteger, 1, 1, 4, 8, 2, 1, 1}, 175},
      StreamKernelInfo{kInteger16, "integer_16", {kInteger, 1, 1, 2, 16, 2, 1, 2}, 405},
      StreamKernelInfo{kInteger16w4, "integer_16_w4", {kInteger, 1, 1, 4, 16, 2, 1, 1}, 216},
      StreamKernelInfo{kInteger16c2, "integer_16_c2", {kInteger, 1, 1, 4, 16, 2, 2, 1}, 216},
      StreamKernelInfo{kInteger32, "integer_32", {kInteger, 1, 1, 2, 32, 2, 1, 2}, 434},
      StreamKernelInfo{kInteger32w4, "integer_32_w4", {kInteger, 1, 1, 4, 32, 2, 1, 1}, 232},
      StreamKernelInfo{kInteger32r256, "integer_32_r256", {kInteger, 4, 1, 1, 32, 2, 1, 1}, 763},
      StreamKernelInfo{kInteger64w4, "integer_64_w4", {kInteger, 1, 1, 4, 64, 2, 1, 1}, 370},
      StreamKernelInfo{kInteger64r256, "integer_64_r256", {kInteger, 4, 1, 1, 64, 2, 1, 1}, 966},
      StreamKernelInfo{kInt8x8, "int8_8", {kInt8, 1, 1, 2, 8, 2, 1, 2}, 165},
      StreamKernelInfo{kInt8x16, "int8_16", {kInt8, 1, 1, 2, 16, 2, 1, 2}, 177},
      StreamKernelInfo{kInt8x64, "int8_64", {kInt8, 1, 1, 2, 64, 2, 1, 1}, 210},
      StreamKernelInfo{kGroup8, "group_8", {kGroup, 1, 1, 2, 8, 2, 1, 2}, 330},
      StreamKernelInfo{kGroup8w4, "group_8_w4", {kGroup, 1, 1, 4, 8, 2, 1, 1}, 211},
      StreamKernelInfo{kGroup16, "group_16", {kGroup, 1, 1, 2, 16, 2, 1, 2}, 430},
      StreamKernelInfo{kGroup16w4, "group_16_w4", {kGroup, 1, 1, 4, 16, 2, 1, 1}, 246},
      StreamKernelInfo{kGroup16r256, "group_16_r256", {kGroup, 4, 1, 1, 16, 2, 1, 1}, 706},
      StreamKernelInfo{kGroup32t2, "group_32_t2", {kGroup, 1, 2, 2, 16, 2, 1, 1}, 420},
      StreamKernelInfo{kGroup32t2w1, "group_32_t2_w1", {kGroup, 1, 2, 1, 16, 4, 1, 1}, 410},
      StreamKernelInfo{kGroup64t2, "group_64_t2", {kGroup, 1, 2, 2, 32, 1, 1, 1}, 720},
      StreamKernelInfo{kGroup64t2w1, "group_64_t2_w1", {kGroup, 1, 2, 1, 32, 2, 1, 1}, 530},
      StreamKernelInfo{kGroup64r128, "group_64_r128", {kGroup, 2, 1, 1, 64, 2, 1, 1}, 800},
      StreamKernelInfo{kGroup64r192, "group_64_r192", {kGroup, 3, 1, 1, 64, 2, 1, 1}, 1000},
      StreamKernelInfo{kGroup64r256, "group_64_r256", {kGroup, 4, 1, 1, 64, 2, 1, 1}, 1400},
      StreamKernelInfo{kW4A16x8, "w4a16_8", {kW4A16, 1, 1, 2, 8, 2, 1, 2}, 540},
      StreamKernelInfo{kW4A16x8w4, "w4a16_8_w4", {kW4A16, 1, 1, 4, 8, 2, 1, 1}, 242},
      StreamKernelInfo{kW4A16x8r256, "w4a16_8_r256", {kW4A16, 4, 1, 1, 8, 2, 1, 1}, 960},
      StreamKernelInfo{kW4A16x16, "w4a16_16", {kW4A16, 1, 1, 2, 16, 2, 1, 2}, 580},
      StreamKernelInfo{kW4A16x16w4, "w4a16_16_w4", {kW4A16, 1, 1, 4, 16, 2, 1, 1}, 300},
      StreamKernelInfo{kW4A16x16r256, "w4a16_16_r256", {kW4A16, 4, 1, 1, 16, 2, 1, 1}, 1050},
      StreamKernelInfo{kW4A16x32t2, "w4a16_32_t2", {kW4A16, 1, 2, 2, 16, 1, 1, 1}, 624},
      StreamKernelInfo{kW4A16x64t2, "w4a16_64_t2", {kW4A16, 1, 2, 2, 32, 1, 1, 1}, 880},
      StreamKernelInfo{kW4A16x64r256, "w4a16_64_r256", {kW4A16, 4, 1, 1, 64, 2, 1, 1}, 1500},
      StreamKernelInfo{kW4A16x128, "w4a16_128", {kW4A16, 3, 1, 1, 128, 1, 1, 1}, 2100},
      StreamKernelInfo{kW4A16x8g64, "w4a16_8_g64", {kW4A16, 1, 1, 4, 8, 2, 1, 1, 64}, 270},
      StreamKernelInfo{kW4A16x16g64, "w4a16_16_g64", {kW4A16, 1, 1, 4, 16, 1, 1, 1, 64}, 340},
      StreamKernelInfo{kW4A16x64g64, "w4a16_64_g64", {kW4A16, 1, 2, 2, 32, 1, 1, 1, 64}, 1000},
      StreamKernelInfo{
          kW4A16x64r256g64, "w4a16_64_r256_g64", {kW4A16, 4, 1, 1, 64, 2, 1, 1, 64}, 1800},
      StreamKernelInfo{kDense8, "dense_8", {kDense, 1, 1, 1, 8, 1, 1, 2}, 327},
      StreamKernelInfo{kDense16, "dense_16", {kDense, 1, 1, 1, 16, 1, 1, 2}, 340},
      StreamKernelInfo{kDense16u2, "dense_16_u2", {kDense, 1, 1, 1, 16, 2, 1, 2}, 320},
      StreamKernelInfo{kDense64, "dense_64", {kDense, 1, 1, 1, 64, 1, 1, 2}, 475},
      StreamKernelInfo{kDense64u2, "dense_64_u2", {kDense, 1, 1, 1, 64, 2, 1, 1}, 340},
      StreamKernelInfo{
          kExpertInteger16, "expert_integer_16", {kInteger, 1, 1, 2, 16, 2, 1, 2, 128, true}, 405},
      StreamKernelInfo{kExpertInteger16w4,
                       "expert_integer_16_w4",
                       {kInteger, 1, 1, 4, 16, 2, 1, 1, 128, true},
                       216},
      StreamKernelInfo{kExpertInteger64r256,
                       "expert_integer_64_r256",
                       {kInteger, 4, 1, 1, 64, 2, 1, 1, 128, true},
                       966},
      StreamKernelInfo{
          kExpertGroup16, "expert_group_16", {kGroup, 1, 1, 2, 16, 2, 1, 2, 128, true}, 430},
      StreamKernelInfo{
          kExpertGroup16w4, "expert_group_16_w4", {kGroup, 1, 1, 4, 16, 2, 1, 1, 128, true}, 246},
      StreamKernelInfo{kExpertGroup64r256,
                       "expert_group_64_r256",
                       {kGroup, 4, 1, 1, 64, 2, 1, 1, 128, true},
                       1400},
      StreamKernelInfo{
          kExpertInt8x16, "expert_int8_16", {kInt8, 1, 1, 2, 16, 2, 1, 2, 128, true}, 177},
      StreamKernelInfo{
          kExpertInt8x64, "expert_int8_64", {kInt8, 1, 1, 2, 64, 2, 1, 1, 128, true}, 210},
      StreamKernelInfo{
          kExpertW4A16x16, "expert_w4a16_16", {kW4A16, 1, 1, 2, 16, 2, 1, 2, 128, true}, 580},
      StreamKernelInfo{
          kExpertW4A16x16w4, "expert_w4a16_16_w4", {kW4A16, 1, 1, 4, 16, 2, 1, 1, 128, true}, 300},
      StreamKernelInfo{kExpertW4A16x64r256,
                       "expert_w4a16_64_r256",
                       {kW4A16, 4, 1, 1, 64, 2, 1, 1, 128, true},
                       1500},
      StreamKernelInfo{
          kExpertW4A16x16g64, "expert_w4a16_16_g64", {kW4A16, 1, 1, 4, 16, 1, 1, 1, 64, true}, 340},
      StreamKernelInfo{kExpertW4A16x64r256g64,
                       "expert_w4a16_64_r256_g64",
                       {kW4A16, 4, 1, 1, 64, 2, 1, 1, 64, true},
                       1800},
      StreamKernelInfo{
          kExpertDense16, "expert_dense_16", {kDense, 1, 1, 1, 16, 1, 1, 2, 128, true}, 385},
      StreamKernelInfo{
          kExpertDense64, "expert_dense_64", {kDense, 1, 1, 1, 64, 1, 1, 2, 128, true}, 475},
      StreamKernelInfo{
          kExpertDense256, "expert_dense_256", {kDense, 2, 1, 1, 256, 1, 1, 1, 128, true}, 1562},
  };
}

}  // namespace streaming_internal

inline constexpr auto kStreamKernels = streaming_internal::MakeStreamKernels();

constexpr const StreamKernelInfo& Info(StreamKernel kernel) {
  return kStreamKernels[static_cast<size_t>(kernel)];
}
constexpr bool StreamKernelsAreInPlace() {
  for (size_t i = 0; i < kStreamKernels.size(); ++i) {
    if (static_cast<size_t>(kStreamKernels[i].kernel) != i) return false;
  }
  return kStreamKernels.size() == static_cast<size_t>(StreamKernel::kExpertDense256) + 1;
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
