#include "atom/bench/kernels/kv_filling.h"

#include <algorithm>
#include <vector>

#include "atom/bench/kernels/random_weights.h"
#include "atom/model/device_layer.h"
#include "atom/model/kv_cache.h"
#include "atom/model/rope.h"

namespace atom::bench {
namespace {

constexpr int64_t kStepRows = 256;

}  // namespace

void FillKv(kernels::Backend& backend, const model::ModelSpec& spec, int64_t positions,
            std::span<kernels::KvLayer* const> layers) {
  const kernels::AttentionShape shape = spec.layer(0).attention.Shape();
  const int64_t columns = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
  const kernels::DeviceBuffer rope =
      model::UploadValues<float>(backend, model::RopeTableValues(spec.ropes.at(0), positions));
  const kernels::KvLayer& first = *layers.front();
  const kernels::PagePool pool = {
      .pages = first.pages(),
      .page_positions = backend.kv_page_positions(),
      .exact_pages = first.exact() == nullptr ? 0 : first.exact()->pages(),
      .exact_window = first.shape().format.exact_window};
  // Once, not page by page.
  backend.Prepare({.batch = {.rows = kStepRows,
                             .sequences = 1,
                             .pages = kernels::PagesFor(positions, pool.page_positions),
                             .exact_pages = kernels::ExactPagesOfStep(pool, kStepRows, 1)},
                   .attention = {},
                   .linears = {},
                   .vocabulary = 0});
  Rng rng(3);
  for (int64_t start = 0; start < positions; start += kStepRows) {
    const int64_t rows = std::min(kStepRows, positions - start);
    const kernels::DeviceBuffer qkv =
        model::UploadValues<float>(backend, RandomFloats(rng, rows * columns));
    backend.BeginStep(
        kernels::SingleSequence(std::vector<int32_t>(static_cast<size_t>(rows), 0), start, pool));
    for (kernels::KvLayer* layer : layers) {
      backend.RopeAppendKv(
          {.data = qkv.data(), .rows = rows, .cols = columns, .stride = columns}, shape, {},
          {.table = &rope, .positions = positions, .rotary_dim = shape.head_dim}, *layer);
    }
    backend.Sync();
  }
}

int64_t KvBytesPerPosition(const kernels::KvShape& shape) {
  constexpr int64_t kParameterBytes = 2 * 2;  // fp16 scale and zero point
  const quant::KvStorage storage = shape.format.storage;
  const bool quantized = storage == quant::KvStorage::kInt4 || storage == quant::KvStorage::kInt8;
  const int64_t row =
      shape.head_dim * quant::KvStorageBits(storage) / 8 + (quantized ? kParameterBytes : 0);
  return 2 * shape.kv_heads * row;
}

}  // namespace atom::bench
