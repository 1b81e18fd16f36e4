#include "atom/artifact/layer.h"

#include <gtest/gtest.h>

namespace atom::artifact {
namespace {

TEST(Layer, NamesAreThoseOfHuggingFace) {
  EXPECT_EQ(LayerPrefix(31), "model.layers.31.");
  EXPECT_EQ(Name(LinearId::kQ), "self_attn.q_proj");
  EXPECT_EQ(Name(LinearId::kDown), "mlp.down_proj");
  EXPECT_EQ(InputEdge(LinearId::kV), EdgeId::kQkv);
  EXPECT_EQ(InputEdge(LinearId::kUp), EdgeId::kGateUp);
  EXPECT_EQ(Name(EdgeId::kGateUp), "gate_up");
}

TEST(Layer, DenseMatricesKeepTheirType) {
  const std::vector<float> values = {1.0f, -2.5f, 0.1f, 65504.0f, 3.0f, 0.0f};
  HostLinear linear{DenseMatrix::FromFloats(values, 2, 3), {}};
  EXPECT_FALSE(linear.packed());
  EXPECT_EQ(linear.n(), 2);
  EXPECT_EQ(linear.k(), 3);
  EXPECT_EQ(linear.ToFloats(), values);
  linear.weight = DenseMatrix::FromHalves(values, 3, 2);
  EXPECT_EQ(linear.n(), 3);
  EXPECT_EQ(linear.ToFloats()[3], 65504.0f);
  EXPECT_EQ(linear.ToFloats()[2], 0.0999755859375f);  // 0.1 in fp16
}

TEST(Layer, PackedMatricesAreDequantized) {
  quant::QuantizedMatrix matrix(2, 2, 1, 2);
  matrix.SetCode4(1, 0, -8);
  matrix.SetCode4(1, 1, 7);
  matrix.codes8[1] = 100;
  matrix.scales4[1] = ToHalf(0.5f);
  matrix.scales8[1] = ToHalf(0.25f);
  const HostLinear linear{matrix, {}};
  EXPECT_TRUE(linear.packed());
  EXPECT_EQ(linear.n(), 2);
  EXPECT_EQ(linear.k(), 3);
  EXPECT_EQ(linear.ToFloats(), (std::vector<float>{0, 0, 0, -4.0f, 3.5f, 25.0f}));
}

}  // namespace
}  // namespace atom::artifact
