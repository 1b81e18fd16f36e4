// The small row operations against a scalar computation in double, on every type of rows.
#include "atom/kernels/cuda/rows/row_ops.h"

#include <cmath>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <random>

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {
namespace {

constexpr std::array kTypes = {RowType::kF16, RowType::kBF16, RowType::kF32};

/// A value as rows of a type store it, as raw bytes and back.
void Store(RowType type, float value, std::byte* to) {
  if (type == RowType::kF16) {
    const __half half = __float2half_rn(value);
    std::memcpy(to, &half, 2);
  } else if (type == RowType::kBF16) {
    const __nv_bfloat16 half = __float2bfloat16_rn(value);
    std::memcpy(to, &half, 2);
  } else {
    std::memcpy(to, &value, 4);
  }
}
float Read(RowType type, const std::byte* from) {
  if (type == RowType::kF32) {
    float value;
    std::memcpy(&value, from, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, from, 2);
  return type == RowType::kF16 ? __half2float(__half(__half_raw{bits}))
                               : __bfloat162float(__nv_bfloat16(__nv_bfloat16_raw{bits}));
}
/// Half the distance between neighbours, relative.
float RoundOff(RowType type) {
  return type == RowType::kF32 ? 0x1p-24f : type == RowType::kF16 ? 0x1p-11f : 0x1p-8f;
}

/// Random rows on the host, `cols` of every `stride` values used.
class HostRows {
 public:
  HostRows(RowType type, int rows, int cols, int stride, std::mt19937_64& random)
      : type_(type),
        stride_(stride),
        bytes_(static_cast<size_t>(rows * stride * RowTypeBytes(type))) {
    std::normal_distribution<float> normal(0.3f, 2.0f);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) Store(type, normal(random), At(r, c));
    }
  }
  float operator()(int row, int col) const { return Read(type_, At(row, col)); }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::byte* At(int row, int col) {
    return bytes_.data() + (row * stride_ + col) * RowTypeBytes(type_);
  }
  const std::byte* At(int row, int col) const { return const_cast<HostRows*>(this)->At(row, col); }

  RowType type_;
  int stride_;
  std::vector<std::byte> bytes_;
};

class RowOpsTest : public CudaTest, public ::testing::WithParamInterface<RowType> {
 protected:
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  std::vector<float> Random(int count) {
    std::normal_distribution<float> normal(1.0f, 0.5f);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(random_);
    return values;
  }
  static void ExpectOk(const Status& status) { EXPECT_TRUE(status.ok()) << status.error().message; }

  std::mt19937_64 random_{std::random_device{}()};
};

TEST_P(RowOpsTest, EmbedScalesAndAddsPositions) {
  constexpr int kVocabulary = 50, kPositions = 20, kRows = 9;
  for (const RowType table_type : kTypes) {
    for (const int cols : {2, 66, 576, 1026}) {
      const int stride = cols + 2;
      const HostRows table(table_type, kVocabulary, cols, cols, random_);
      const HostRows learned(table_type, kPositions, cols, cols, random_);
      std::vector<int32_t> tokens, positions;
      for (int i = 0; i < kRows; ++i) tokens.push_back(Below(kVocabulary));
      for (int i = 0; i < kRows; ++i) positions.push_back(Below(kPositions - 2));
      const std::vector<int32_t> slots = {7, 31};
      const int32_t second = 31;
      tokens[4] = -2;           // the second slot
      tokens[5] = kVocabulary;  // padding that nobody looks at
      for (const bool with_positions : {false, true}) {
        const DeviceArray<std::byte> device_table(table.bytes()), device_learned(learned.bytes());
        const DeviceArray<int32_t> device_tokens(tokens), device_positions(positions),
            device_slots(slots);
        const DeviceArray<std::byte> out(
            static_cast<size_t>(kRows * stride * RowTypeBytes(GetParam())));
        ExpectOk(LaunchEmbed(
            {.table = {device_table.data(), table_type, cols},
             .learned = {with_positions ? device_learned.data() : nullptr, table_type, cols},
             .tokens = device_tokens.data(),
             .slots = device_slots.data(),
             .positions = device_positions.data(),
             .position_offset = 2,
             .vocabulary = kVocabulary,
             .scale = 3.7f,
             .out = {out.data(), GetParam(), stride},
             .rows = kRows,
             .cols = cols},
            stream().get()));
        const std::vector<std::byte> found = out.Download();
        for (int r = 0; r < kRows; ++r) {
          const auto i = static_cast<size_t>(r);
          const int token = tokens[i] == -2 ? second : tokens[i] == kVocabulary ? 0 : tokens[i];
          for (int c = 0; c < stride; ++c) {
            const std::byte* at = found.data() + (r * stride + c) * RowTypeBytes(GetParam());
            if (c >= cols) {
              ASSERT_EQ(at[0], std::byte{0xFF});  // not written
              continue;
            }
            float expected = table(token, c) * 3.7f;
            if (with_positions) expected += learned(positions[i] + 2, c);
            std::array<std::byte, 4> stored;
            Store(GetParam(), expected, stored.data());
            ASSERT_EQ(Read(GetParam(), at), Read(GetParam(), stored.data())) << r << " " << c;
          }
        }
      }
    }
  }
}

TEST_P(RowOpsTest, GatherCasts) {
  for (const RowType from : kTypes) {
    constexpr int kRows = 13, kCols = 514, kStride = 520;
    const HostRows x(from, kRows, kCols, kStride, random_);
    const std::vector<int32_t> rows = {12, 0, 3, 3};
    const DeviceArray<std::byte> device_x(x.bytes());
    const DeviceArray<int32_t> device_rows(rows);
    for (const bool gather : {true, false}) {
      const DeviceArray<std::byte> out(rows.size() * size_t{kCols} * 4);
      ExpectOk(LaunchGather({.x = {device_x.data(), from, kStride},
                             .rows = gather ? device_rows.data() : nullptr,
                             .out = {out.data(), GetParam(), kCols},
                             .count = static_cast<int>(rows.size()),
                             .cols = kCols},
                            stream().get()));
      const std::vector<std::byte> found = out.Download();
      for (int r = 0; r < static_cast<int>(rows.size()); ++r) {
        for (int c = 0; c < kCols; ++c) {
          std::array<std::byte, 4> stored;
          Store(GetParam(), x(gather ? rows[static_cast<size_t>(r)] : r, c), stored.data());
          ASSERT_EQ(Read(GetParam(), found.data() + (r * kCols + c) * RowTypeBytes(GetParam())),
                    Read(GetParam(), stored.data()))
              << r << " " << c;
        }
      }
    }
  }
}

TEST_P(RowOpsTest, NormIsThatOfDoublesWithinItsBound) {
  for (const int cols : {2, 64, 576, 4096, 5120, 16384}) {
    constexpr int kRows = 3;
    const int stride = cols + 4;
    const HostRows x(GetParam(), kRows, cols, stride, random_);
    const HostRows old(RowType::kF32, kRows, cols, stride, random_);
    const std::vector<float> weight = Random(cols), bias = Random(cols);
    const DeviceArray<std::byte> device_x(x.bytes());
    const DeviceArray<float> device_weight(weight), device_bias(bias);
    for (const bool mean : {false, true}) {
      for (const bool add : {false, true}) {
        const bool with_bias = mean;
        const DeviceArray<std::byte> out(old.bytes());
        ExpectOk(LaunchNorm({.x = {device_x.data(), GetParam(), stride},
                             .weight = device_weight.data(),
                             .bias = with_bias ? device_bias.data() : nullptr,
                             .epsilon = 1e-5f,
                             .subtract_mean = mean,
                             .add = add,
                             .out = {out.data(), RowType::kF32, stride},
                             .rows = kRows,
                             .cols = cols},
                            stream().get()));
        const std::vector<std::byte> found = out.Download();
        for (int r = 0; r < kRows; ++r) {
          double sum = 0, magnitude = 0, squares = 0;
          for (int c = 0; c < cols; ++c) sum += mean ? x(r, c) : 0;
          for (int c = 0; c < cols; ++c) magnitude += std::abs(x(r, c)) / cols;
          const double centre = sum / cols;
          for (int c = 0; c < cols; ++c) squares += std::pow(x(r, c) - centre, 2);
          const double factor = 1 / std::sqrt(squares / cols + 1e-5);
          const double u = 0x1p-24, chain = cols / 512.0 + 24;
          for (int c = 0; c < cols; ++c) {
            const auto i = static_cast<size_t>(c);
            const double normed = (x(r, c) - centre) * factor * weight[i];
            double expected = normed + (with_bias ? bias[i] : 0);
            if (add) expected += old(r, c);
            const double bound =
                chain * u *
                    (std::abs(normed) + (mean ? magnitude * factor * std::abs(weight[i]) *
                                                    (1 + std::abs(normed / weight[i]))
                                              : 0)) +
                3 * u * (std::abs(expected) + std::abs(normed) + std::abs(bias[i]));
            const float value = Read(RowType::kF32, found.data() + (r * stride + c) * 4);
            ASSERT_LE(std::abs(value - expected), bound)
                << cols << " columns, row " << r << ", column " << c << ": " << value;
          }
        }
      }
    }
  }
}

TEST_P(RowOpsTest, SoftcapBendsTowardsTheCap) {
  constexpr int kRows = 2, kCols = 777, kStride = 800;
  const HostRows x(GetParam(), kRows, kCols, kStride, random_);
  const DeviceArray<std::byte> device_x(x.bytes());
  ExpectOk(LaunchSoftcap(
      {.x = {device_x.data(), GetParam(), kStride}, .cap = 3.0f, .rows = kRows, .cols = kCols},
      stream().get()));
  const std::vector<std::byte> found = device_x.Download();
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kCols; ++c) {
      const double expected = 3.0 * std::tanh(double{x(r, c)} / 3.0);
      const float value =
          Read(GetParam(), found.data() + (r * kStride + c) * RowTypeBytes(GetParam()));
      ASSERT_LE(std::abs(value - expected), std::abs(expected) * (RoundOff(GetParam()) + 0x1p-21))
          << r << " " << c;
    }
  }
}

std::string TypeName(const ::testing::TestParamInfo<RowType>& type) {
  return type.param == RowType::kF16 ? "F16" : type.param == RowType::kBF16 ? "BF16" : "F32";
}
INSTANTIATE_TEST_SUITE_P(Types, RowOpsTest, ::testing::ValuesIn(kTypes), TypeName);

}  // namespace
}  // namespace atom::kernels::cuda
