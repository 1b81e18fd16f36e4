#include "atom/bench/kernels/attention_bench.h"

#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/bench/kernels/kv_filling.h"
#include "atom/kernels/registry.h"
#include "atom/model/kv_cache.h"

#include "tests/tiny_model.h"

namespace atom::bench {
namespace {

using quant::KvStorage;

TEST(AttentionBenchTest, BytesOfAPositionAreCountedWithScales) {
  const auto bytes = [](KvStorage storage) {
    return KvBytesPerPosition({{.storage = storage}, /*kv_heads=*/32, /*head_dim=*/128});
  };
  // K and V of 32 heads: 64 or 128 bytes of codes, 2 of scale, 2 of zero point.
  EXPECT_EQ(bytes(KvStorage::kInt4), 2 * 32 * (64 + 4));
  EXPECT_EQ(bytes(KvStorage::kInt8), 2 * 32 * (128 + 4));
  EXPECT_EQ(bytes(KvStorage::kBF16), 2 * 32 * 256);
}

TEST(AttentionBenchTest, OperationsAreCausal) {
  const kernels::AttentionShape shape{.heads = 4, .kv_heads = 2, .head_dim = 8};
  // One query at position 9 sees 10 positions: 2 products of 2 operations per channel.
  EXPECT_EQ(AttentionOperations(shape, 9, 1), 2 * 2 * 10 * 4 * 8);
  // Three from position 0 on see 1 + 2 + 3.
  EXPECT_EQ(AttentionOperations(shape, 0, 3), 2 * 2 * 6 * 4 * 8);
}

// The layers hold what RopeAppendKv wrote, each its own copy of the same.
TEST(AttentionBenchTest, EveryLayerIsFilledToItsLastPosition) {
  const auto backend = kernels::MakeBackend("cpu", {.threads = 1}).value();
  const model::ModelSpec spec = FindGeometry("tinyllama-1.1b").value().spec;
  const model::AttentionSpec& attention = spec.layer(0).attention;
  std::vector<std::unique_ptr<kernels::KvLayer>> layers;
  std::vector<kernels::KvLayer*> pointers;
  for (int i = 0; i < 3; ++i) {
    layers.push_back(backend->MakeKvLayer(
        {{.storage = KvStorage::kBF16}, attention.kv_heads, attention.head_dim}, 18));
    pointers.push_back(layers.back().get());
  }
  FillKv(*backend, spec, 18 * 16 - 1, pointers);  // more than one step; the last slot stays free
  for (int64_t page = 0; page < 18; ++page) {
    EXPECT_EQ(backend->Unpack(*layers[0], page).values, backend->Unpack(*layers[2], page).values);
    EXPECT_EQ(backend->Unpack(*layers[0], page).keys, backend->Unpack(*layers[2], page).keys);
  }
  const auto row_is_zero = [&](int64_t position) {
    const kernels::UnpackedKvPage page = backend->Unpack(*layers[0], position / 16);
    const auto first = page.values.begin() + (3 * 16 + position % 16) * attention.head_dim;
    return std::all_of(first, first + attention.head_dim, [](float x) { return x == 0.0f; });
  };
  EXPECT_FALSE(row_is_zero(0));
  EXPECT_FALSE(row_is_zero(256));
  EXPECT_FALSE(row_is_zero(18 * 16 - 2));
  EXPECT_TRUE(row_is_zero(18 * 16 - 1));
}

TEST(AttentionBenchTest, UnknownNamesAreRefused) {
  const auto bench = BenchContext::Make("cpu", 1, QuickEffort()).value();
  const auto message = [&](const AttentionOptions& options) {
    const Status status = RunAttention(*bench, options, [](const AttentionRow&) { FAIL(); });
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_NE(message({.geometries = {"llama-9"}}).find("tinyllama-1.1b"), std::string::npos);
  EXPECT_NE(message({.kv = {"int2"}}).find("int2"), std::string::npos);
  EXPECT_NE(message({.tests = {"guess"}}).find("prefill"), std::string::npos);
  EXPECT_NE(message({.depths = {0}}).find("depth 0"), std::string::npos);
}

TEST(AttentionBenchTest, EveryStorageGivesRowsWithSoundNumbers) {
  const auto bench = BenchContext::Make("cpu", 2, QuickEffort()).value();
  const tests::TemporaryFolder folder;
  tests::WriteTinyModel({}, folder.path());
  const AttentionOptions options{.geometries = {folder.path().string()}, .depths = {48}};
  std::vector<AttentionRow> rows;
  const Status status =
      RunAttention(*bench, options, [&](const AttentionRow& row) { rows.push_back(row); });
  ASSERT_TRUE(status.ok()) << status.error().message;
  ASSERT_EQ(rows.size(), 6u);
  for (const AttentionRow& row : rows) {
    const nlohmann::json json = ToJson(row, *bench);
    EXPECT_EQ(json.at("bench"), "attention");
    EXPECT_EQ(json.at("depth"), 48);
    EXPECT_EQ(json.at("tokens"), row.test == "decode" ? 1 : 48);
    EXPECT_EQ(json.at("kv_bits"), row.kv == "int4" ? 4 : row.kv == "int8" ? 8 : 16);
    EXPECT_EQ(json.at("ceiling"), row.test == "decode" ? "dram" : bench->Name(Ceiling::kFma));
    for (const char* field : {"seconds", "gops", "gbps", "ceiling_rate", "ceiling_fraction"}) {
      const double value = json.at(field).get<double>();
      EXPECT_TRUE(std::isfinite(value) && value > 0) << field << " " << value;
    }
    EXPECT_GT(json.at("ratio").at("bf16_kv").get<double>(), 0.0);
    if (row.kv == "bf16") {
      EXPECT_EQ(json.at("ratio").at("bf16_kv"), 1.0);
    }
  }
}

}  // namespace
}  // namespace atom::bench
