// Keys and values as recipes have them kept, on the CUDA backend: exact windows, float offsets,
// rotated heads, means of keys, ratios of heads, norms of heads, rotary embedding of some channels.
#include "tests/kernels/cuda/cuda_backend_fixture.h"

namespace atom::kernels::cuda {
namespace {

using quant::KvFormat;
using quant::KvOffset;
using quant::KvStorage;

constexpr int64_t kKvHeads = 2;
constexpr int64_t kPages = 40;

class CudaKvFieldsTest : public CudaBackendTest {
 protected:
  KvFormat AllFields(KvStorage storage, int64_t head_dim, int64_t window) {
    KvFormat format = {.storage = storage, .offset = KvOffset::kFloat, .hadamard = true};
    format.exact_window = window;
    format.key_mean = Random(kKvHeads * head_dim, 2.0f);
    format.head_clips = {1.0f, 0.95f, 0.9f, 0.85f};
    return format;
  }

  std::vector<KvFormat> Formats(int64_t head_dim) {
    KvFormat integer = {.storage = KvStorage::kInt4, .clip = 0.95f};
    KvFormat window = integer, wide = {.storage = KvStorage::kInt8};
    window.exact_window = 16;
    wide.exact_window = 48;
    return {AllFields(KvStorage::kInt4, head_dim, 0), AllFields(KvStorage::kInt4, head_dim, 16),
            AllFields(KvStorage::kInt8, head_dim, 32), window, wide};
  }

  std::vector<float> RopeTableOf(int positions, int rotary_dim) {
    std::vector<float> table;
    for (int position = 0; position < positions; ++position) {
      for (int i = 0; i < rotary_dim; ++i) {
        const float frequency = std::pow(10000.0f, -static_cast<float>(2 * (i % (rotary_dim / 2))) /
                                                       static_cast<float>(rotary_dim));
        const float angle = static_cast<float>(position) * frequency;
        table.push_back(i < rotary_dim / 2 ? std::cos(angle) : std::sin(angle));
      }
    }
    return table;
  }

  /// The rows of a sequence fed in chunks: what Attention gave, [tokens][heads · head_dim].
  std::vector<float> Feed(Side& side, const AttentionShape& shape, const KvFormat& format,
                          const std::vector<float>& qkv, const std::vector<int>& chunks,
                          const RopeTable& rope) {
    const int64_t cols = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
    PagePool pool = {.pages = kPages, .page_positions = side->kv_page_positions()};
    pool.exact_window = format.exact_window;
    pool.exact_pages = format.exact_window > 0 ? kPages : 0;
    const auto kv = side->MakeKvLayer({format, shape.kv_heads, shape.head_dim}, pool);
    side->Prepare({.batch = {.rows = 512, .sequences = 4, .pages = 256, .exact_pages = 256},
                   .attention = {shape},
                   .linears = {},
                   .vocabulary = 0});
    std::vector<float> all;
    int start = 0;
    for (const int chunk : chunks) {
      const auto begin = qkv.begin() + start * cols;
      side->BeginStep(
          SingleSequence(std::vector<int32_t>(static_cast<size_t>(chunk), 1), start, pool));
      const DeviceTensor in = side.Tensor(std::vector<float>(begin, begin + chunk * cols), chunk);
      side->RopeAppendKv(in, shape, {}, rope, *kv);
      const int64_t out_cols = shape.heads * shape.head_dim;
      const DeviceTensor out =
          side.Tensor(std::vector<float>(static_cast<size_t>(chunk * out_cols), NAN), chunk);
      side->Attention(in, shape, *kv, out);
      const std::vector<float> got = side.Get(out);
      all.insert(all.end(), got.begin(), got.end());
      start += chunk;
    }
    return all;
  }
};

std::vector<AttentionShape> Shapes() {
  return {{.heads = 4, .kv_heads = kKvHeads, .head_dim = 64},
          {.heads = 6, .kv_heads = kKvHeads, .head_dim = 128},
          {.heads = 4, .kv_heads = kKvHeads, .head_dim = 64, .window = 40},
          {.heads = 4, .kv_heads = kKvHeads, .head_dim = 80},
          {.heads = 2, .kv_heads = kKvHeads, .head_dim = 96, .softcap = 30.0f},
          {.heads = 4, .kv_heads = kKvHeads, .head_dim = 256, .softcap = 5.0f}};
}

TEST_F(CudaKvFieldsTest, AttentionIsTheReferences) {
  constexpr int kTokens = 330;
  for (const AttentionShape& shape : Shapes()) {
    const int64_t cols = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
    const std::vector<float> qkv = Random(kTokens * cols);
    const std::vector<float> table = RopeTableOf(kTokens, static_cast<int>(shape.head_dim));
    for (const KvFormat& format : Formats(shape.head_dim)) {
      SCOPED_TRACE(fmt::format("{} of {} channels, window {}, offset {}, exact {}",
                               quant::Name(format.storage), shape.head_dim, shape.window,
                               quant::Name(format.offset), format.exact_window));
      std::vector<float> outs[2];
      for (Side* side : {&reference(), &cuda()}) {
        const RopeTable rope = {
            .table = &side->Put(table), .positions = kTokens, .rotary_dim = shape.head_dim};
        outs[side == &cuda()] = Feed(*side, shape, format, qkv, {40, 1, 1, 250, 38}, rope);
      }
      const auto width = static_cast<size_t>(shape.heads * shape.head_dim);
      double worst = 0;  // of rows
      for (size_t row = 0; row < kTokens; ++row) {
        const auto part = [&](const std::vector<float>& all) {
          const auto begin = all.begin() + static_cast<int64_t>(row * width);
          return std::vector<float>(begin, begin + static_cast<int64_t>(width));
        };
        worst = std::max(worst, RelativeError(part(outs[1]), part(outs[0])));
      }
      EXPECT_LT(worst, 0.008);  // fp16 queries, weights and offsets, as without these fields
    }
  }
}

TEST_F(CudaKvFieldsTest, AttentionNeverDependsOnTheChunksOfAPrompt) {
  constexpr int kTokens = 300;
  for (const AttentionShape& shape : Shapes()) {
    const int64_t cols = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
    const std::vector<float> qkv = Random(kTokens * cols);
    for (const KvFormat& format : Formats(shape.head_dim)) {
      const std::vector<float> whole = Feed(cuda(), shape, format, qkv, {kTokens}, {});
      std::vector<int> tail = {265};
      for (int i = 265; i < kTokens; ++i) tail.push_back(1);
      for (const std::vector<int>& chunks :
           {std::vector<int>{64, 85, 1, 150}, {1, 100, 49, 150}, {16, 15, 6, 263}, tail}) {
        const std::vector<float> all = Feed(cuda(), shape, format, qkv, chunks, {});
        int64_t different = 0;
        for (size_t i = 0; i < all.size(); ++i) different += !(all[i] == whole[i]);
        EXPECT_EQ(different, 0) << quant::Name(format.storage) << ", exact " << format.exact_window
                                << ", window " << shape.window << ", chunks from " << chunks[0];
      }
    }
  }
}

/// Ops that come again on the same addresses run as a graph, whose kernels look at page lists
/// before their turn.
TEST_F(CudaKvFieldsTest, DecodeStepsInGraphsGiveThePrefillsBits) {
  constexpr int kTokens = 300, kFirst = 250;
  constexpr size_t kLayers = 6;
  const AttentionShape shape = {.heads = 4, .kv_heads = kKvHeads, .head_dim = 64};
  const int64_t cols = 8 * 64, out_cols = 4 * 64;
  Side& side = cuda();
  for (const KvFormat& format : Formats(64)) {
    const std::vector<float> qkv = Random(kTokens * cols);
    const std::vector<float> whole = Feed(side, shape, format, qkv, {kTokens}, {});
    PagePool pool = {.pages = kPages, .page_positions = side->kv_page_positions()};
    pool.exact_window = format.exact_window;
    pool.exact_pages = format.exact_window > 0 ? kPages : 0;
    std::vector<std::unique_ptr<KvLayer>> layers;
    std::vector<DeviceTensor> in, out;
    side->BeginStep(SingleSequence(std::vector<int32_t>(kFirst, 1), 0, pool));
    for (size_t i = 0; i < kLayers; ++i) {
      layers.push_back(side->MakeKvLayer({format, kKvHeads, 64}, pool));
      const std::vector<float> first(qkv.begin(), qkv.begin() + kFirst * cols);
      side->RopeAppendKv(side.Tensor(first, kFirst), shape, {}, {}, *layers.back());
      in.push_back(side.Tensor(std::vector<float>(static_cast<size_t>(cols)), 1));
      out.push_back(side.Tensor(std::vector<float>(static_cast<size_t>(out_cols), NAN), 1));
    }
    for (int position = kFirst; position < kTokens; ++position) {
      side->BeginStep(SingleSequence({1}, position, pool));
      const std::span<const float> row(qkv.data() + position * cols, static_cast<size_t>(cols));
      for (const DeviceTensor& tensor : in) side->Upload(std::as_bytes(row), tensor.data);
      for (size_t i = 0; i < kLayers; ++i) {
        side->RopeAppendKv(in[i], shape, {}, {}, *layers[i]);
        side->Attention(in[i], shape, *layers[i], out[i]);
      }
      const auto expected = whole.begin() + position * out_cols;
      for (size_t i = 0; i < kLayers; ++i) {
        ASSERT_EQ(side.Get(out[i]), std::vector<float>(expected, expected + out_cols))
            << quant::Name(format.storage) << ", exact " << format.exact_window << ", position "
            << position << ", layer " << i;
      }
    }
  }
}

TEST_F(CudaKvFieldsTest, SimulatedPagesHoldTheReferencesValuesInFp16) {
  const AttentionShape shape = {.heads = 4, .kv_heads = kKvHeads, .head_dim = 64};
  const std::vector<float> qkv = Random(20 * 8 * 64);
  for (const KvFormat& packed : Formats(64)) {
    KvFormat format = packed.Simulated();
    format.exact_window = 0;
    std::vector<float> held[2];
    for (Side* side : {&reference(), &cuda()}) {
      const auto kv = (*side)->MakeKvLayer({format, kKvHeads, 64}, 4);
      (*side)->BeginStep(SingleSequence(std::vector<int32_t>(20, 1), 0, 16));
      const DeviceTensor in = side->Tensor(qkv, 20);
      (*side)->RopeAppendKv(in, shape, {}, {}, *kv);
      (*side)->Sync();
      const UnpackedKvPage page = (*side)->Unpack(*kv, 0);
      std::vector<float>& values = held[side == &cuda()];
      values = page.keys;
      values.insert(values.end(), page.values.begin(), page.values.end());
    }
    for (float& value : held[0]) value = ToFloat(ToHalf(value));
    EXPECT_EQ(held[1], held[0]) << quant::Name(packed.storage) << ", "
                                << quant::Name(packed.offset);
  }
}

TEST_F(CudaKvFieldsTest, SomeChannelsRotateAsTheReferencesDo) {
  const AttentionShape shape = {.heads = 4, .kv_heads = kKvHeads, .head_dim = 80};
  const int64_t tokens = 20, cols = 8 * 80;
  const std::vector<float> qkv = Random(tokens * cols), table = RopeTableOf(20, 32);
  const std::vector<float> q_norm = Random(80), k_norm = Random(80);
  for (const bool normalized : {false, true}) {
    std::vector<float> rows[2], keys[2];
    for (Side* side : {&reference(), &cuda()}) {
      const bool which = side == &cuda();
      const auto kv = (*side)->MakeKvLayer({{.storage = KvStorage::kF16}, kKvHeads, 80}, 4);
      HeadNorms norms;
      if (normalized) norms = {.q = &side->Put(q_norm), .k = &side->Put(k_norm), .eps = 1e-6f};
      (*side)->BeginStep(SingleSequence(std::vector<int32_t>(20, 1), 0, 16));
      const DeviceTensor in = side->Tensor(qkv, tokens);
      const DeviceBuffer& rope = side->Put(table);
      (*side)->RopeAppendKv(in, shape, norms, {.table = &rope, .positions = 20, .rotary_dim = 32},
                            *kv);
      rows[which] = side->Get(in);
      for (const int64_t page : {0, 1}) {
        const UnpackedKvPage unpacked = (*side)->Unpack(*kv, page);
        keys[which].insert(keys[which].end(), unpacked.keys.begin(), unpacked.keys.end());
      }
    }
    for (int64_t row = 0; row < tokens; ++row) {
      for (int64_t column = 0; column < 4 * 80; ++column) {  // queries
        const auto at = static_cast<size_t>(row * cols + column);
        const float bound = normalized ? 0x1p-20f * (1.0f + std::abs(rows[0][at])) : 0.0f;
        ASSERT_NEAR(rows[1][at], rows[0][at], bound) << row << ", " << column;
      }
    }
    for (size_t i = 0; i < keys[0].size(); ++i) {
      const float bound = normalized ? 0x1p-10f * std::abs(keys[0][i]) + 0x1p-14f : 0.0f;
      ASSERT_NEAR(keys[1][i], keys[0][i], bound) << i;
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
