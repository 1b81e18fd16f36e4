#include "atom/kernels/cuda/gemm/tiled/tile_launch.h"

#include <limits>

#include "atom/core/check.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/gemm/tensor_map.h"
#include "atom/kernels/cuda/gemm/tiled/tile_kernels.h"
#include "atom/kernels/cuda/gemm/tiled/tile_layout.h"

namespace atom::kernels::cuda {
namespace {

TileFunction FunctionOf(GemmKernel kernel) {
  switch (kernel) {
    case GemmKernel::kInteger256:
      return TileInteger256();
    case GemmKernel::kInteger128:
      return TileInteger128();
    case GemmKernel::kInteger64:
      return TileInteger64();
    case GemmKernel::kGroup128:
      return TileGroup128();
    case GemmKernel::kGroup64:
      return TileGroup64();
    case GemmKernel::kWideGroup128:
      return TileWideGroup128();
    case GemmKernel::kInt8x256:
      return TileInt8x256();
    case GemmKernel::kInt8x128:
      return TileInt8x128();
    case GemmKernel::kDense256:
      return TileDense256();
    case GemmKernel::kDense192:
      return TileDense192();
    case GemmKernel::kDense128:
      return TileDense128();
    case GemmKernel::kDense64:
      return TileDense64();
    case GemmKernel::kExpertInteger128:
      return TileExpertInteger128();
    case GemmKernel::kExpertGroup128:
      return TileExpertGroup128();
    case GemmKernel::kExpertInt8x128:
      return TileExpertInt8x128();
    case GemmKernel::kExpertWideGroup128:
      return TileExpertWideGroup128();
  }
  return nullptr;
}

// Weights side by side: their tiles, and where their outputs lie in Y.
void FillSegments(const GemmDesc& desc, const GemmOperands& operands, int tile_rows,
                  TileParams& params) {
  int64_t tile = 0;
  int64_t column = 0;
  for (int i = 0; i < kMaxSegments; ++i) {
    TileSegment& segment = params.segments[i];
    const int64_t n = desc.n[static_cast<size_t>(i)];
    segment.first_tile = n > 0 ? static_cast<int32_t>(tile) : std::numeric_limits<int32_t>::max();
    if (n == 0) continue;
    const GemmWeight& weight = operands.weights[static_cast<size_t>(i)];
    segment.codes = weight.codes;
    segment.rows = weight.rows;
    segment.n = static_cast<int32_t>(n);
    segment.row_blocks = static_cast<int32_t>((n + kBlockRows - 1) / kBlockRows);
    segment.column = static_cast<int32_t>(column);
    tile += (n + tile_rows - 1) / tile_rows;
    column += n;
  }
}

// How Y is written: through tensor maps if every weight's part of it has one and nothing is added.
Status FillOutput(const GemmDesc& desc, const GemmOperands& operands, TileParams& params) {
  params.y = operands.y;
  params.y_stride = operands.y_stride;
  params.output = desc.output;
  params.add = desc.add;
  const int64_t element = desc.output == GemmOutput::kFloat ? 4 : 2;
  // Rows of experts go anywhere.
  params.tensor_store = !desc.add && desc.experts == 0;
  params.aligned =
      reinterpret_cast<uintptr_t>(operands.y) % (4 * static_cast<size_t>(element)) == 0 &&
      operands.y_stride % 4 == 0;
  MatrixView views[kMaxSegments];
  for (int i = 0; i < desc.segments(); ++i) {
    const TileSegment& segment = params.segments[i];
    views[i] = {static_cast<uint8_t*>(operands.y) + segment.column * element, desc.m, segment.n,
                operands.y_stride, desc.output};
    params.tensor_store = params.tensor_store && HasTensorMap(views[i]);
    params.aligned = params.aligned && segment.column % 4 == 0;
  }
  for (int i = 0; params.tensor_store && i < desc.segments(); ++i) {
    Status status = MakeTensorMap(views[i], kSliceTokens, params.maps[i]);
    if (!status.ok()) return status;
  }
  return Status();
}

// Where K blocks of quantized weights lie, and their groups' scales of the activations.
void FillQuantized(const GemmDesc& desc, const GemmOperands& operands, TileParams& params) {
  const bool int8 = desc.recipe == GemmRecipe::kInt8;
  const bool group = desc.recipe == GemmRecipe::kGroup;
  const PackedWeightLayout weight{desc.n[0], desc.k4, desc.k8, desc.group,
                                  group ? GroupScale::kHalf : GroupScale::kInteger};
  const PackedActivationLayout x{desc.m, desc.k4, desc.k8};
  params.row_block_bytes = weight.row_block_bytes();
  params.blocks = static_cast<int32_t>(int8 ? x.blocks8() : x.blocks4());
  params.outlier_blocks = static_cast<int32_t>(int8 ? 0 : x.blocks8());
  params.steps8 = static_cast<int32_t>(weight.steps8());
  if (!group) return;
  ATOM_CHECK(operands.group_scales != nullptr, "group scales are missing");
  params.group_scales = operands.group_scales;
  params.group_stride = operands.one_group_scale ? 0 : static_cast<int32_t>(x.padded_tokens());
  params.group_blocks =
      static_cast<int32_t>(desc.group == 0 ? weight.blocks4() : desc.group / kBlockColumns);
}

Status FillParams(const GemmDesc& desc, const GemmPlan& plan, const GemmOperands& operands,
                  TileParams& params) {
  const GemmKernelInfo& info = Info(plan.kernel);
  FillSegments(desc, operands, info.tile_rows, params);
  params.x = operands.x;
  params.tokens = operands.tokens;
  params.m = static_cast<int32_t>(desc.m);
  params.token_atoms = static_cast<int32_t>((desc.m + kAtomTokens - 1) / kAtomTokens);
  if (desc.recipe == GemmRecipe::kDense) {
    const PackedDenseLayout weight{desc.n[0], desc.k8};
    params.row_block_bytes = weight.row_block_bytes();
    params.blocks = static_cast<int32_t>(weight.blocks());
  } else {
    FillQuantized(desc, operands, params);
  }
  params.stages = plan.stages;
  params.token_clusters = plan.token_clusters;
  params.row_units =
      static_cast<int32_t>(plan.row_tiles / (plan.token_clusters ? 1 : info.cluster));
  params.token_units =
      static_cast<int32_t>(plan.token_tiles / (plan.token_clusters ? info.cluster : 1));
  params.schedule = plan.schedule;
  params.handover = static_cast<uint8_t*>(operands.handover);
  if (params.handover == nullptr) params.schedule.divided = 0;
  if (desc.experts > 0) {
    ATOM_CHECK(operands.expert_rows != nullptr && operands.expert_weights != nullptr &&
                   operands.y_rows != nullptr,
               "what a grouped product reads of its experts is missing");
    params.expert_rows = operands.expert_rows;
    params.expert_weights = operands.expert_weights;
    params.y_rows = operands.y_rows;
    params.segment_count = desc.segments();
    params.experts = static_cast<int32_t>(desc.experts);
  }
  return FillOutput(desc, operands, params);
}

}  // namespace

Status LaunchTileGemm(const GemmDesc& desc, const GemmPlan& plan, const GemmOperands& operands,
                      const GemmLaunch& launch) {
  TileParams params = {};
  if (Status status = FillParams(desc, plan, operands, params); !status.ok()) return status;
  const TileFunction function = FunctionOf(plan.kernel);
  if (Status status = Check(cudaFuncSetAttribute(reinterpret_cast<const void*>(function),
                                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                 static_cast<int>(plan.shared_bytes)),
                            "give a GEMM its shared memory");
      !status.ok()) {
    return status;
  }
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {static_cast<unsigned>(Info(plan.kernel).cluster), 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = launch.overlap_previous ? 1 : 0;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(plan.grid));
  config.blockDim = dim3(static_cast<unsigned>(plan.threads));
  config.dynamicSmemBytes = static_cast<size_t>(plan.shared_bytes);
  config.stream = launch.stream;
  config.attrs = attributes;
  config.numAttrs = 2;
  void* arguments[] = {&params};
  return Check(cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(function), arguments),
               Name(plan.kernel));
}

}  // namespace atom::kernels::cuda
