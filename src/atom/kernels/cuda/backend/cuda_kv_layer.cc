#include "atom/kernels/cuda/backend/cuda_kv_layer.h"

#include <cstring>

#include "atom/core/check.h"
#include "atom/core/half.h"
#include "atom/kernels/cuda/attention/kv_fragments.h"
#include "atom/quant/head_hadamard.h"

namespace atom::kernels::cuda {
namespace {

float ReadHalf(const std::byte* at) {
  Half half;
  std::memcpy(&half, at, sizeof(half));
  return ToFloat(half);
}

float ReadValue(KvStorage storage, int head_dim, bool value, int position, int channel,
                const std::byte* head) {
  const FragmentByte at = LocateCode(storage, head_dim, value, position, channel);
  if (!HasScales(storage)) return ReadHalf(head + at.offset);
  const auto byte = static_cast<unsigned>(head[at.offset]);
  const unsigned code = storage == KvStorage::kInt4 ? byte >> at.shift & 15 : byte;
  const std::byte* scales =
      head + ScaleOffset(storage, head_dim) + 2 * ((value ? 2 * kPagePositions : 0) + position);
  return ReadHalf(scales) * static_cast<float>(code) + ReadHalf(scales + 2 * kPagePositions);
}

}  // namespace

std::string WhyNotCached(const KvShape& shape) {
  switch (shape.head_dim) {
    case 64:
    case 80:
    case 96:
    case 128:
    case 256:
      break;
    default:
      return fmt::format(
          "a KV cache of heads of {} channels: the CUDA backend has kernels for 64, "
          "80, 96, 128 and 256",
          shape.head_dim);
  }
  if (shape.format.fake_bits != 0 &&
      (shape.format.fake_before_rope || shape.format.reference_parity)) {
    return "KV quantized as published, before RoPE or with its quirks: the CUDA backend has no "
           "kernel for that; use --backend cpu";
  }
  return "";
}

std::vector<float> ClipsOf(const KvShape& shape) {
  std::vector<float> clips;
  for (const size_t which : {size_t{0}, size_t{1}}) {
    for (int64_t head = 0; head < shape.kv_heads; ++head) {
      clips.push_back(shape.format.ClipOf(which, head));
    }
  }
  return clips;
}

std::vector<float> RotatedMeanOf(const KvShape& shape) {
  std::vector<float> mean = shape.format.key_mean;
  // Columns of heads are rotated head by head, as keys are.
  if (shape.format.hadamard) quant::RotateHeadColumns(shape.head_dim, mean);
  return mean;
}

KvPages PagesOf(const KvShape& shape, std::byte* data) {
  KvPages pages;
  pages.data = data;
  pages.storage =
      quant::KvStorageBits(shape.format.storage) >= 16 ? KvStorage::kF16 : shape.format.storage;
  pages.kv_heads = static_cast<int>(shape.kv_heads);
  pages.head_dim = static_cast<int>(shape.head_dim);
  return pages;
}

KvPages CudaKvLayer::kernel_pages() const {
  return PagesOf(shape(), static_cast<std::byte*>(data.data()));
}

const CudaKvLayer& CudaKvLayer::Of(const KvLayer& layer) {
  const auto* own = dynamic_cast<const CudaKvLayer*>(&layer);
  ATOM_CHECK(own != nullptr, "the KV layer was made by another backend");
  return *own;
}

CudaKvLayer& CudaKvLayer::Of(KvLayer& layer) {
  auto* own = dynamic_cast<CudaKvLayer*>(&layer);
  ATOM_CHECK(own != nullptr, "the KV layer was made by another backend");
  return *own;
}

UnpackedKvPage UnpackPage(const KvShape& shape, std::span<const std::byte> page, ThreadPool& pool) {
  const KvPages pages = PagesOf(shape, nullptr);
  const int64_t values = int64_t{kPagePositions} * pages.head_dim;  // of a head
  UnpackedKvPage unpacked;
  unpacked.keys.resize(static_cast<size_t>(pages.kv_heads * values));
  unpacked.values.resize(unpacked.keys.size());
  pool.ParallelFor(pages.kv_heads, [&](int64_t h, int /*worker*/) {
    const std::byte* head = page.data() + h * HeadPageBytes(pages.storage, pages.head_dim);
    auto at = static_cast<size_t>(h * values);
    for (int p = 0; p < kPagePositions; ++p) {
      for (int c = 0; c < pages.head_dim; ++c, ++at) {
        unpacked.keys[at] = ReadValue(pages.storage, pages.head_dim, false, p, c, head);
        unpacked.values[at] = ReadValue(pages.storage, pages.head_dim, true, p, c, head);
      }
    }
  });
  return unpacked;
}

}  // namespace atom::kernels::cuda
