// Ops on rows: both ends of the model, norms, and the quantizers.
#include <optional>

#include "atom/core/check.h"
#include "atom/kernels/cuda/backend/cuda_backend.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/rows/fused_quantize.h"
#include "atom/kernels/cuda/rows/plain_quantize.h"
#include "atom/kernels/cuda/rows/row_ops.h"

namespace atom::kernels::cuda {
namespace {

RowType RowTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return RowType::kF16;
    case DType::kBF16:
      return RowType::kBF16;
    default:
      ATOM_CHECK(dtype == DType::kF32, "rows of type {}", static_cast<int>(dtype));
      return RowType::kF32;
  }
}

RowSource SourceOf(ActivationFunction function) {
  switch (function) {
    case ActivationFunction::kSilu:
      return RowSource::kSilu;
    case ActivationFunction::kGelu:
      return RowSource::kGelu;
    case ActivationFunction::kGeluTanh:
      return RowSource::kGeluTanh;
    case ActivationFunction::kRelu:
      return RowSource::kRelu;
  }
  return RowSource::kValues;
}

std::optional<FusedSource> FusedSourceOf(const PlainQuantizeCall& call) {
  switch (call.source) {
    case RowSource::kValues:
      return FusedSource::kValues;
    case RowSource::kRmsNorm:
      if (call.bias != nullptr) return std::nullopt;
      return FusedSource::kRmsNorm;
    case RowSource::kSilu:
      if (!call.gated) return std::nullopt;
      return FusedSource::kSiluMul;
    default:
      return std::nullopt;
  }
}

/// Groups as the fast kernel has them; 0 where it has none such. One scale a token needs rotated
/// blocks to take their place.
int FusedGroup(const PlainQuantizeCall& call) {
  if (call.group == 0) {
    return call.hadamard >= 16 && call.hadamard <= kBlockColumns ? call.hadamard : 0;
  }
  if (call.hadamard != 0 && call.hadamard != call.group) return 0;
  const bool fits = call.two_level ? call.group <= kBlockColumns : call.group == kBlockColumns;
  return fits ? call.group : 0;
}

/// The same as the fast kernel takes it, where it does: integers in groups.
std::optional<FusedQuantizeCall> FusedOf(const PlainQuantizeCall& call) {
  const std::optional<FusedSource> source = FusedSourceOf(call);
  const int group = FusedGroup(call);
  if (!source || call.bits == 16 || call.simulated || group == 0 ||
      call.columns > kMaxFusedColumns || call.columns % 16 != 0 || call.outliers % 16 != 0 ||
      call.clip < kLeastFusedClip) {
    return std::nullopt;
  }
  FusedQuantizeCall fused;
  fused.x = call.x;
  fused.rows = call.rows;
  fused.columns = call.columns;
  fused.source = *source;
  fused.weight = call.weight;
  fused.epsilon = call.epsilon;
  fused.permutation = call.permutation;
  fused.outliers = call.outliers;
  fused.group = group;
  fused.bits = call.bits;
  fused.hadamard = call.hadamard != 0;
  fused.scale = call.two_level    ? FusedScale::kInteger
                : call.group == 0 ? FusedScale::kToken
                                  : FusedScale::kGroup;
  fused.clip = call.clip;
  fused.codes = static_cast<int8_t*>(call.to);
  fused.tokens = call.tokens;
  fused.group_scales = call.group_scales;
  return fused;
}

template <class T = float>
const T* DataOf(const DeviceBuffer* buffer) {
  return buffer == nullptr ? nullptr : static_cast<const T*>(buffer->data());
}

}  // namespace

Rows RowsOf(const DeviceTensor& tensor) {
  return {tensor.data, RowTypeOf(tensor.dtype), tensor.stride};
}

void CudaBackend::BeginStep(const Batch& batch) {
  Flush();
  const BatchLimits needed = {.rows = batch.rows(),
                              .sequences = batch.sequences(),
                              .pages = std::ssize(batch.pages),
                              .exact_pages = std::ssize(batch.exact_pages)};
  // Ops that are called by themselves, without a model that prepared for them.
  if (!step_.HasRoom(needed))
    Prepare({.batch = needed, .attention = {}, .linears = {}, .vocabulary = 0});
  Require(step_.Begin(batch, stream_));
}

void CudaBackend::Embed(const DeviceEmbedding& embedding, const DeviceTensor& out) {
  const StepView& step = step_.view();
  ATOM_CHECK(out.rows <= step.rows(), "{} rows, {} tokens", out.rows, step.rows());
  const RowType type = RowTypeOf(embedding.dtype);
  const auto row_bytes = static_cast<size_t>(out.cols * RowTypeBytes(type));
  EmbedCall call;
  call.table = {embedding.table->data(), type, out.cols};
  if (embedding.positions != nullptr) {
    call.learned = {embedding.positions->data(), type, out.cols};
  }
  call.tokens = step.tokens.data();
  call.slots = step_.slots();
  call.positions = step.positions.data();
  call.position_offset = static_cast<int>(embedding.position_offset);
  call.vocabulary = static_cast<int>(embedding.table->bytes() / row_bytes);
  call.scale = embedding.scale;
  call.out = RowsOf(out);
  call.rows = static_cast<int>(out.rows);
  call.cols = static_cast<int>(out.cols);
  const OpKey key({Word(Op::kEmbed), Word(call.table.data), Word(call.learned.data),
                   Word(call.tokens), Word(call.out.data), Word(call.rows, call.cols),
                   Word(call.vocabulary, call.position_offset), Word(call.scale),
                   Word(out.stride)});
  ops_.Add(key, true, [call](cudaStream_t stream) { return LaunchEmbed(call, stream); });
}

void CudaBackend::Quantize(PlainQuantizeCall call, const DeviceBuffer* permutation,
                           PackedActivation& out) {
  CudaActivation& own = CudaActivation::Of(out);
  ATOM_CHECK(call.rows <= own.capacity(), "{} rows, room for {}", call.rows, own.capacity());
  own.set_rows(call.rows);
  const quant::ActivationFormat& format = own.format();
  call.columns = static_cast<int>(own.k());
  call.permutation = DataOf<int32_t>(permutation);
  call.bits = format.bits;
  call.simulated = format.simulated;
  call.to = own.values.data();
  call.outliers = static_cast<int>(format.outlier_columns);
  call.hadamard = static_cast<int>(format.hadamard);
  call.group = static_cast<int>(format.group);
  call.two_level = format.scales == quant::ScaleFormat::kTwoLevel;
  call.clip = format.clip;
  call.tokens = static_cast<TokenScales*>(own.tokens.data());
  call.group_scales = static_cast<float*>(own.group_scales.data());
  call.scale_copies = static_cast<int>(GroupScaleRows(format, own.k()));
  const std::optional<FusedQuantizeCall> fused = FusedOf(call);
  const OpKey key({Word(Op::kQuantize), Word(call.x.data), Word(call.x.stride),
                   Word(call.rows, call.columns), Word(static_cast<int>(call.source), call.gated),
                   Word(call.weight), Word(call.bias), Word(call.epsilon), Word(call.permutation),
                   Word(call.to), Word(call.bits, call.outliers),
                   Word(call.group, 2 * call.two_level + call.simulated),
                   Word(int64_t{call.hadamard}), Word(call.clip), Word(call.group_scales)});
  if (fused) {
    ops_.Add(key, true,
             [call = *fused](cudaStream_t stream) { return LaunchFusedQuantize(call, stream); });
    return;
  }
  ops_.Add(key, true, [call](cudaStream_t stream) { return LaunchPlainQuantize(call, stream); });
}

void CudaBackend::NormQuantize(const DeviceTensor& x, const DeviceNorm& norm,
                               const DeviceBuffer* permutation, PackedActivation& out) {
  ATOM_CHECK(x.cols == out.k(), "{} columns, expected {}", x.cols, out.k());
  PlainQuantizeCall call;
  call.x = RowsOf(x);
  call.rows = static_cast<int>(x.rows);
  call.source = norm.kind == NormKind::kRms ? RowSource::kRmsNorm : RowSource::kLayerNorm;
  call.weight = DataOf(norm.weight);
  call.bias = DataOf(norm.bias);
  call.epsilon = norm.eps;
  Quantize(call, permutation, out);
}

void CudaBackend::ReorderQuantize(const DeviceTensor& x, const DeviceBuffer* permutation,
                                  PackedActivation& out) {
  ATOM_CHECK(x.cols == out.k(), "{} columns, expected {}", x.cols, out.k());
  PlainQuantizeCall call;
  call.x = RowsOf(x);
  call.rows = static_cast<int>(x.rows);
  Quantize(call, permutation, out);
}

void CudaBackend::ActivationQuantize(const DeviceTensor& x, ActivationFunction function, bool gated,
                                     PackedActivation& out) {
  ATOM_CHECK(x.cols == (gated ? 2 : 1) * out.k(), "{} columns, expected {} x {}", x.cols,
             gated ? 2 : 1, out.k());
  PlainQuantizeCall call;
  call.x = RowsOf(x);
  call.rows = static_cast<int>(x.rows);
  call.source = SourceOf(function);
  call.gated = gated;
  Quantize(call, nullptr, out);
}

void CudaBackend::EnqueueNorm(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y,
                              bool add) {
  ATOM_CHECK(x.rows == y.rows && x.cols == y.cols, "{} x {} onto {} x {}", x.rows, x.cols, y.rows,
             y.cols);
  NormCall call;
  call.x = RowsOf(x);
  call.weight = DataOf(norm.weight);
  call.bias = DataOf(norm.bias);
  call.epsilon = norm.eps;
  call.subtract_mean = norm.kind == NormKind::kLayer;
  call.add = add;
  call.out = RowsOf(y);
  call.rows = static_cast<int>(x.rows);
  call.cols = static_cast<int>(x.cols);
  const OpKey key({Word(Op::kNormAdd), Word(call.x.data), Word(call.x.stride), Word(call.weight),
                   Word(call.bias), Word(call.epsilon),
                   Word(int64_t{call.subtract_mean} + 2 * int64_t{call.add}), Word(call.out.data),
                   Word(call.out.stride), Word(call.rows, call.cols)});
  ops_.Add(key, true, [call](cudaStream_t stream) { return LaunchNorm(call, stream); });
}

void CudaBackend::GatherLogitRows(const DeviceTensor& x, const DeviceTensor& out) {
  const auto rows = step_.view().logit_rows;
  ATOM_CHECK(out.rows <= std::ssize(rows) && out.cols == x.cols, "output {} x {}, expected {} x {}",
             out.rows, out.cols, rows.size(), x.cols);
  GatherCall call;
  call.x = RowsOf(x);
  call.rows = rows.data();
  call.out = RowsOf(out);
  call.count = static_cast<int>(out.rows);
  call.cols = static_cast<int>(out.cols);
  const OpKey key({Word(Op::kGather), Word(call.x.data), Word(call.x.stride), Word(call.rows),
                   Word(call.out.data), Word(call.out.stride), Word(call.count, call.cols)});
  ops_.Add(key, true, [call](cudaStream_t stream) { return LaunchGather(call, stream); });
}

void CudaBackend::Softcap(const DeviceTensor& x, float cap) {
  SoftcapCall call;
  call.x = RowsOf(x);
  call.cap = cap;
  call.rows = static_cast<int>(x.rows);
  call.cols = static_cast<int>(x.cols);
  const OpKey key({Word(Op::kSoftcap), Word(call.x.data), Word(call.x.stride), Word(call.cap),
                   Word(call.rows, call.cols)});
  ops_.Add(key, true, [call](cudaStream_t stream) { return LaunchSoftcap(call, stream); });
}

}  // namespace atom::kernels::cuda
