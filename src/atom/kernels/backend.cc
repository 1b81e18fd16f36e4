#include "atom/kernels/backend.h"

#include <cstdlib>
#include <utility>

#include "atom/core/check.h"
#include "atom/quant/stats.h"

namespace atom::kernels {

std::unique_ptr<KvLayer> Backend::MakeKvLayer(const KvShape& shape, const PagePool& pool) {
  const int64_t window = shape.format.exact_window;
  ATOM_CHECK(
      window == 0 || (HasKernels(quant::Feature::kExactWindow) && window <= pool.exact_window),
      "backend {}: a layer with an exact window of {}, a pool of {}", name(), window,
      pool.exact_window);
  std::unique_ptr<KvLayer> layer = MakeKvLayer(shape, pool.pages);
  if (window > 0) {
    layer->set_exact(MakeKvLayer(shape.Exact(), pool.exact_pages));
  }
  return layer;
}

std::unique_ptr<PackedWeight> Backend::PrepackCodes(const quant::CodeMatrix& weight,
                                                    std::span<const float> bias) {
  const Buffer values = weight.Dequantize();
  return PrepackDense({weight.value, {weight.n, weight.k}, values.data()}, bias);
}

std::unique_ptr<ExpertRouting> Backend::MakeRouting(const RouterShape&, int64_t) {
  RefuseMixtures();
}
int64_t Backend::RoutingBytes(const RouterShape&, int64_t) const { RefuseMixtures(); }
UnpackedRouting Backend::Unpack(const ExpertRouting&) const { RefuseMixtures(); }
void Backend::Route(const DeviceTensor&, const RouterShape&, ExpertRouting&) { RefuseMixtures(); }
void Backend::GroupedLinear(const PackedActivation&, const ExpertRouting&,
                            std::span<const PackedWeight* const>, const DeviceTensor&) {
  RefuseMixtures();
}
void Backend::Combine(const DeviceTensor&, const ExpertRouting&, const DeviceTensor&, OutputMode) {
  RefuseMixtures();
}

void Backend::RefuseMixtures() const {
  ATOM_CHECK(false, "backend {} does not compute mixtures of experts", name());
  std::abort();
}

DeviceBuffer::~DeviceBuffer() {
  if (backend_ != nullptr && data_ != nullptr) backend_->Free(data_);
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : backend_(std::exchange(other.backend_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

HostBuffer::~HostBuffer() {
  if (backend_ != nullptr && data_ != nullptr) backend_->FreeHost(data_);
}

HostBuffer::HostBuffer(HostBuffer&& other) noexcept
    : backend_(std::exchange(other.backend_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

HostBuffer& HostBuffer::operator=(HostBuffer&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void Backend::UnpackDense(const PackedActivation& activation, const DeviceTensor& out) {
  const UnpackedActivation x = Unpack(activation);
  Upload(std::as_bytes(std::span(x.dense)), out.data);
}

void Backend::AddSample(const PackedActivation& activation, quant::Metric metric,
                        DeviceSpan<double> sums) {
  const UnpackedActivation x = Unpack(activation);
  std::vector<double> values(static_cast<size_t>(sums.size));
  Download(sums.data, std::as_writable_bytes(std::span(values)));
  quant::AddSample(metric, x.dense, x.rows, values);
  Upload(std::as_bytes(std::span(values)), sums.data);
}

}  // namespace atom::kernels
