// Memory, order and what is made once; the ops are in cuda_ops.cc, cuda_linear.cc, cuda_mixture.cc,
// cuda_attention.cc and cuda_logits.cc.
#include "atom/kernels/cuda/backend/cuda_backend.h"

#include <algorithm>
#include <cstring>

#include "atom/core/check.h"
#include "atom/kernels/cuda/attention/kv_fragments.h"
#include "atom/kernels/cuda/backend/cuda_routing.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda_backend.h"

namespace atom::kernels::cuda {
namespace {

// Serving Llama-7B and Llama-3-8B on an H100, a process took 720 to 980 MiB more than its plan of
// weights, scratch and KV: half of it is the context, the rest programs, graphs of decode steps and
// whole pages of memory.
constexpr int64_t kReserve = int64_t{1152} << 20;

}  // namespace

Result<std::unique_ptr<Backend>> CudaBackend::Create(int threads) {
  Result<DeviceProperties> device = OpenDevice();
  if (!device.ok()) return MakeError("backend cuda: {}", device.error().message);
  if (device->compute_capability != 90) {
    return MakeError("backend cuda: {} has compute capability {}.{}; whole models run on 9.0",
                     device->name, device->compute_capability / 10,
                     device->compute_capability % 10);
  }
  Result<Stream> stream = Stream::Create();
  if (!stream.ok()) return MakeError("backend cuda: {}", stream.error().message);
  std::vector<Event> marks;
  for (size_t i = 0; i < kMarks; ++i) {
    Result<Event> mark = Event::Create();
    if (!mark.ok()) return MakeError("backend cuda: {}", mark.error().message);
    marks.push_back(std::move(mark).value());
  }
  return std::unique_ptr<Backend>(
      new CudaBackend(threads, *device, std::move(stream).value(), std::move(marks)));
}

CudaBackend::CudaBackend(int threads, DeviceProperties device, Stream stream,
                         std::vector<Event> marks)
    : pool_(threads),
      device_(std::move(device)),
      stream_(std::move(stream)),
      marks_(std::move(marks)) {}

std::string CudaBackend::Description() const {
  return fmt::format("{}, compute capability {}.{}, {} multiprocessors, {} GiB", device_.name,
                     device_.compute_capability / 10, device_.compute_capability % 10,
                     device_.multiprocessors, device_.memory_bytes >> 30);
}

DeviceBuffer CudaBackend::Allocate(size_t bytes) {
  if (bytes == 0) return {};
  void* data = nullptr;
  Require(Check(cudaMalloc(&data, bytes),
                fmt::format("allocate {} MiB on the GPU", (bytes + (1 << 20) - 1) >> 20)));
  DeviceBuffer buffer(this, data, bytes);
  Require(Check(cudaMemsetAsync(data, 0, bytes, stream_.get()), "clear memory of the GPU"));
  return buffer;
}

std::optional<DeviceRoom> CudaBackend::Room() const {
  size_t free = 0;
  size_t total = 0;
  Require(Check(cudaMemGetInfo(&free, &total), "ask for the free memory of the GPU"));
  return DeviceRoom{.free = static_cast<int64_t>(free),
                    .total = static_cast<int64_t>(total),
                    .reserve = kReserve};
}

HostBuffer CudaBackend::AllocateHost(size_t bytes) {
  if (bytes == 0) return {};
  void* data = nullptr;
  Require(Check(cudaMallocHost(&data, bytes), fmt::format("pin {} bytes of host memory", bytes)));
  std::memset(data, 0, bytes);
  return HostBuffer(this, static_cast<std::byte*>(data), bytes);
}

// Nothing can be done about a failure, and what caused it is found by the next call.
void CudaBackend::Free(void* data) { (void)cudaFree(data); }
void CudaBackend::FreeHost(void* data) { (void)cudaFreeHost(data); }

void CudaBackend::Upload(std::span<const std::byte> from, void* to) {
  if (from.empty()) return;
  Flush();
  Require(staging_.ToDevice(to, from.data(), std::ssize(from), stream_));
  Require(stream_.Synchronize());
}

void CudaBackend::Download(const void* from, std::span<std::byte> to) {
  if (to.empty()) return;
  Flush();
  Require(staging_.ToHost(to.data(), from, std::ssize(to), stream_));
}

void CudaBackend::EnqueueDownload(const void* from, std::span<std::byte> to) {
  if (to.empty()) return;
  Flush();
  Require(CopyToHost(to.data(), from, std::ssize(to), stream_));
}

Backend::Ticket CudaBackend::Mark() {
  Flush();
  ++last_mark_;
  Require(marks_[last_mark_ % kMarks].Record(stream_));
  return last_mark_;
}

// An event that a later mark took over has passed no earlier than the ticket's.
void CudaBackend::Wait(Ticket ticket) { Require(marks_[ticket % kMarks].Synchronize()); }

int64_t CudaBackend::ScratchBytes(const StepPlan& plan) const {
  return ScratchSizes(plan, device_).device_bytes() + GatheredBytes(plan);
}

int64_t CudaBackend::PinnedBytes(const StepPlan& plan) const {
  return 2 * (ScratchSizes(plan, device_).ring + Staging::kHalfBytes);
}

void CudaBackend::Prepare(const StepPlan& plan) {
  Flush();
  Require(stream_.Synchronize());
  ops_.ForgetGraphs();
  Require(step_.Prepare(plan, device_, stream_));
  HaveGathered(GatheredBytes(plan));
}

int64_t CudaBackend::kv_page_positions() const { return kPagePositions; }

int64_t CudaBackend::KvPageBytes(const KvShape& shape) const {
  return PagesOf(shape, nullptr).PageBytes();
}

std::unique_ptr<KvLayer> CudaBackend::MakeKvLayer(const KvShape& shape, int64_t pages) {
  if (const std::string why = WhyNotCached(shape); !why.empty()) throw DeviceError(why);
  auto layer = std::make_unique<CudaKvLayer>(shape, pages);
  layer->data = Allocate(static_cast<size_t>(pages * KvPageBytes(shape)));
  const std::vector<float> clips = ClipsOf(shape);
  if (std::ranges::any_of(clips, [](float clip) { return clip != 1.0f; })) {
    layer->clip = Copy(std::span(clips));
  }
  layer->key_mean = Copy(std::span(shape.format.key_mean));
  layer->rotated_mean = Copy<float>(RotatedMeanOf(shape));
  return layer;
}

template <class T>
std::vector<T> CudaBackend::CopyBack(const DeviceBuffer& buffer, int64_t count) const {
  std::vector<T> values(static_cast<size_t>(count));
  if (values.empty()) return values;
  Flush();
  Require(
      CopyToHost(values.data(), buffer.data(), count * static_cast<int64_t>(sizeof(T)), stream_));
  Require(stream_.Synchronize());
  return values;
}

UnpackedKvPage CudaBackend::Unpack(const KvLayer& layer, int64_t page) const {
  const CudaKvLayer& own = CudaKvLayer::Of(layer);
  ATOM_CHECK(page >= 0 && page < own.pages(), "page {} of {}", page, own.pages());
  const int64_t bytes = KvPageBytes(own.shape());
  std::vector<std::byte> data(static_cast<size_t>(bytes));
  Flush();
  Require(CopyToHost(data.data(), static_cast<std::byte*>(own.data.data()) + page * bytes, bytes,
                     stream_));
  Require(stream_.Synchronize());
  return UnpackPage(own.shape(), data, pool_);
}

std::unique_ptr<PackedWeight> CudaBackend::Prepack(const quant::QuantizedView& weight,
                                                   std::span<const float> bias) {
  const HostWeight packed = Require(PackForDevice(weight, bias, pool_));
  if (packed.layout.k4 == 0) HaveHandover();
  auto own = std::make_unique<CudaWeight>(weight.n, weight.k());
  ++weights_made_;
  own->layout = packed.layout;
  own->codes = Copy(std::span(packed.codes));
  own->rows = Copy(std::span(packed.rows));
  return own;
}

std::unique_ptr<PackedWeight> CudaBackend::PrepackDense(const TensorView& weight,
                                                        std::span<const float> bias) {
  const HostWeight packed = PackForDevice(weight, bias, pool_);
  HaveHandover();
  auto own = std::make_unique<CudaWeight>(weight.dim(0), weight.dim(1));
  ++weights_made_;
  own->dense = packed.dense;
  own->codes = Copy(std::span(packed.codes));
  own->rows = Copy(std::span(packed.rows));
  return own;
}

std::unique_ptr<PackedWeight> CudaBackend::Duplicate(const PackedWeight& weight) {
  const CudaWeight& from = CudaWeight::Of(weight);
  auto own = std::make_unique<CudaWeight>(from.n(), from.k());
  ++weights_made_;
  own->layout = from.layout;
  own->dense = from.dense;
  const auto copy = [this](const DeviceBuffer& data) {
    DeviceBuffer made = Allocate(data.bytes());
    Require(Check(cudaMemcpyAsync(made.data(), data.data(), data.bytes(), cudaMemcpyDeviceToDevice,
                                  stream_.get()),
                  "copy a weight on the GPU"));
    return made;
  };
  own->codes = copy(from.codes);
  own->rows = copy(from.rows);
  return own;
}

quant::QuantizedMatrix CudaBackend::Unpack(const PackedWeight& weight) const {
  const CudaWeight& own = CudaWeight::Of(weight);
  ATOM_CHECK(!own.is_dense(), "a dense weight has no codes");
  const PackedWeightLayout& layout = own.layout;
  const bool two_level = layout.k4 > 0 && layout.scale == GroupScale::kInteger;
  quant::QuantizedMatrix matrix(
      layout.n, layout.k4, layout.k8, layout.group,
      two_level ? quant::ScaleFormat::kTwoLevel : quant::ScaleFormat::kFp16);
  std::vector<uint8_t> multipliers(two_level ? static_cast<size_t>(matrix.groups() * layout.n)
                                             : size_t{0});
  UnpackWeight(layout, CopyBack<uint8_t>(own.codes, layout.bytes()),
               {.codes4 = matrix.codes4,
                .multipliers = multipliers,
                .scales4 = matrix.scales4,
                .codes8 = matrix.codes8});
  const std::vector<RowScales> rows = CopyBack<RowScales>(own.rows, layout.padded_rows());
  for (size_t i = 0; i < matrix.row_scales4.size(); ++i) matrix.row_scales4[i] = rows[i].scale;
  for (size_t i = 0; i < matrix.scales8.size(); ++i) {
    matrix.scales8[i] = ToHalf(rows[i].outlier_scale);
  }
  for (size_t i = 0; i < multipliers.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    matrix.SetMultiplier4(at % layout.n, at / layout.n, multipliers[i]);
  }
  return matrix;
}

std::unique_ptr<PackedActivation> CudaBackend::MakeActivation(const quant::ActivationFormat& format,
                                                              int64_t k, int64_t capacity) {
  if (const std::string why = WhyNotQuantized(format, k); !why.empty()) throw DeviceError(why);
  auto own = std::make_unique<CudaActivation>(format, k, capacity);
  const ActivationSizes sizes = SizesOf(format, k, capacity);
  own->values = Allocate(static_cast<size_t>(sizes.values));
  own->tokens = Allocate(static_cast<size_t>(sizes.tokens));
  own->group_scales = Allocate(static_cast<size_t>(sizes.group_scales));
  return own;
}

int64_t CudaBackend::ActivationBytes(const quant::ActivationFormat& format, int64_t k,
                                     int64_t capacity) const {
  return SizesOf(format, k, capacity).sum();
}

UnpackedActivation CudaBackend::Unpack(const PackedActivation& activation) const {
  const CudaActivation& own = CudaActivation::Of(activation);
  UnpackedActivation unpacked;
  unpacked.rows = own.rows();
  const auto values = CopyBack<std::byte>(own.values, static_cast<int64_t>(own.values.bytes()));
  const auto at = [&own](const auto& layout, int64_t row, int64_t column) {
    const bool outlier = column >= layout.k4;
    return layout.offset(row, outlier ? column - layout.k4 : column, outlier);
  };
  if (own.format().dense()) {
    const PackedDenseActivationLayout layout = own.dense_layout(own.rows());
    unpacked.dense.resize(static_cast<size_t>(own.rows() * own.k()));
    pool_.ParallelFor(own.rows(), [&](int64_t row, int) {
      float* to = unpacked.dense.data() + row * own.k();
      for (int64_t column = 0; column < own.k(); ++column) {
        BFloat16 value;
        std::memcpy(&value, values.data() + at(layout, row, column), sizeof(value));
        to[column] = ToFloat(value);
      }
    });
    return unpacked;
  }
  const PackedActivationLayout layout = own.code_layout(own.rows());
  const bool two_level = own.format().scales == quant::ScaleFormat::kTwoLevel;
  const int64_t groups =
      own.format().group == 0 ? (own.k4() > 0 ? 1 : 0) : own.k4() / own.format().group;
  const auto scales = CopyBack<float>(
      own.group_scales, two_level || own.format().group == 0 ? 0 : groups * own.padded_rows());
  const auto tokens = CopyBack<TokenScales>(own.tokens, own.rows());
  for (int64_t row = 0; row < own.rows(); ++row) {
    for (int64_t column = 0; column < own.k(); ++column) {
      unpacked.codes.push_back(
          static_cast<int8_t>(values[static_cast<size_t>(at(layout, row, column))]));
    }
    for (int64_t group = 0; group < groups; ++group) {
      if (two_level) {
        unpacked.multipliers.push_back(1);  // the bytes are the products
        continue;
      }
      const float scale = own.format().group == 0
                              ? tokens[static_cast<size_t>(row)].scale
                              : scales[static_cast<size_t>(group * own.padded_rows() + row)];
      unpacked.scales.push_back(ToHalf(scale));
    }
    if (two_level) unpacked.row_scales.push_back(tokens[static_cast<size_t>(row)].scale);
    if (own.format().outlier_columns > 0) {
      unpacked.outlier_scales.push_back(ToHalf(tokens[static_cast<size_t>(row)].outlier_scale));
    }
  }
  return unpacked;
}

UnpackedRouting CudaBackend::Unpack(const ExpertRouting& routing) const {
  const CudaRouting& own = CudaRouting::Of(routing);
  const auto chosen = CopyBack<uint8_t>(own.chosen, own.pairs());
  return {{chosen.begin(), chosen.end()}, CopyBack<float>(own.weights, own.pairs())};
}

}  // namespace atom::kernels::cuda

namespace atom::kernels {

Result<std::unique_ptr<Backend>> MakeCudaBackend(const BackendOptions& options) {
  return cuda::CudaBackend::Create(options.threads);
}

}  // namespace atom::kernels
