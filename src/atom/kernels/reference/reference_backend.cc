// Memory and load time; the ops of a step lie in files of their own.
#include "atom/kernels/reference/reference_backend.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "atom/kernels/reference/reference_storage.h"

namespace atom::kernels::reference {
namespace {

constexpr std::align_val_t kAlignment{64};

void CheckBias(std::span<const float> bias, int64_t n) {
  ATOM_CHECK(bias.empty() || static_cast<int64_t>(bias.size()) == n, "{} biases, {} outputs",
             bias.size(), n);
}

/// The first `rows` of the `capacity` rows that `values` has room for.
template <class T, class Stored>
std::vector<T> FirstRows(const std::vector<Stored>& values, int64_t rows, int64_t capacity) {
  const auto width = static_cast<int64_t>(values.size()) / std::max<int64_t>(capacity, 1);
  return std::vector<T>(values.begin(), values.begin() + rows * width);
}

}  // namespace

std::string ReferenceBackend::Description() const {
  return fmt::format("reference: scalar, {} thread{}", pool_.threads(),
                     pool_.threads() == 1 ? "" : "s");
}

DeviceBuffer ReferenceBackend::Allocate(size_t bytes) {
  void* data = ::operator new(std::max<size_t>(bytes, 1), kAlignment);
  std::memset(data, 0, bytes);
  return DeviceBuffer(this, data, bytes);
}

HostBuffer ReferenceBackend::AllocateHost(size_t bytes) {
  void* data = ::operator new(std::max<size_t>(bytes, 1), kAlignment);
  std::memset(data, 0, bytes);
  return HostBuffer(this, static_cast<std::byte*>(data), bytes);
}

void ReferenceBackend::Free(void* data) { ::operator delete(data, kAlignment); }

void ReferenceBackend::Upload(std::span<const std::byte> from, void* to) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

void ReferenceBackend::Download(const void* from, std::span<std::byte> to) {
  if (!to.empty()) std::memcpy(to.data(), from, to.size());
}

std::unique_ptr<PackedWeight> ReferenceBackend::Prepack(const quant::QuantizedView& weight,
                                                        std::span<const float> bias) {
  CheckBias(bias, weight.n);
  return std::make_unique<ReferenceWeight>(weight, bias);
}

std::unique_ptr<PackedWeight> ReferenceBackend::PrepackDense(const TensorView& weight,
                                                             std::span<const float> bias) {
  ATOM_CHECK(weight.shape.size() == 2, "weight of shape {}", ShapeString(weight.shape));
  CheckBias(bias, weight.dim(0));
  return std::make_unique<ReferenceWeight>(weight, bias);
}

quant::QuantizedMatrix ReferenceBackend::Unpack(const PackedWeight& weight) const {
  const ReferenceWeight& own = ReferenceWeight::Of(weight);
  ATOM_CHECK(own.packed.has_value(), "Unpack of a dense weight");
  return *own.packed;
}

std::unique_ptr<PackedActivation> ReferenceBackend::MakeActivation(
    const quant::ActivationFormat& format, int64_t k, int64_t capacity) {
  return std::make_unique<ReferenceActivation>(format, k, capacity);
}

int64_t ReferenceBackend::ActivationBytes(const quant::ActivationFormat& format, int64_t k,
                                          int64_t capacity) const {
  if (format.dense()) return capacity * k * static_cast<int64_t>(sizeof(float));
  const int64_t groups = format.group == 0 ? 1 : (k - format.outlier_columns) / format.group;
  return capacity *
         (k * static_cast<int64_t>(sizeof(int16_t)) + static_cast<int64_t>(sizeof(float)) +
          (groups + 1) * static_cast<int64_t>(sizeof(Half)));
}

UnpackedActivation ReferenceBackend::Unpack(const PackedActivation& activation) const {
  const ReferenceActivation& own = ReferenceActivation::Of(activation);
  const int64_t rows = own.rows();
  return {rows,
          FirstRows<float>(own.dense, rows, own.capacity()),
          FirstRows<int8_t>(own.codes, rows, own.capacity()),
          FirstRows<Half>(own.scales, rows, own.capacity()),
          FirstRows<uint8_t>(own.multipliers, rows, own.capacity()),
          own.format().dense() ? std::vector<float>()
                               : FirstRows<float>(own.row_scales, rows, own.capacity()),
          FirstRows<Half>(own.outlier_scales, rows, own.capacity())};
}

}  // namespace atom::kernels::reference

namespace atom::kernels {

Result<std::unique_ptr<Backend>> MakeReferenceBackend(const BackendOptions& options) {
  return std::unique_ptr<Backend>(std::make_unique<reference::ReferenceBackend>(options.threads));
}

}  // namespace atom::kernels
