#include "atom/artifact/layer.h"

#include <gtest/gtest.h>

namespace atom::artifact {
namespace {

TEST(LayerNames, ModulesAreThoseOfHuggingFacesLlama) {
  EXPECT_EQ(LayerPrefix(31), "model.layers.31.");
  EXPECT_EQ(ModulePath(LinearName(LinearRole::kQ)), "self_attn.q_proj");
  EXPECT_EQ(ModulePath(LinearName(LinearRole::kDown)), "mlp.down_proj");
  EXPECT_EQ(ModulePath(LinearName(LinearRole::kDown, 3)), "mlp.experts.3.down_proj");
  EXPECT_EQ(ModulePath(NormRole::kFfn), "post_attention_layernorm");
}

TEST(LayerNames, ComeBackFromTheirText) {
  for (const int32_t expert : {kNoExpert, 0, 7, 127}) {
    for (int role = 0; role <= static_cast<int>(LinearRole::kDown); ++role) {
      const LinearName name(static_cast<LinearRole>(role), expert);
      EXPECT_EQ(LinearNameFrom(ToString(name)), name) << ToString(name);
    }
    for (int role = 0; role <= static_cast<int>(SiteRole::kDown); ++role) {
      const SiteName name(static_cast<SiteRole>(role), expert);
      EXPECT_EQ(SiteNameFrom(ToString(name)), name) << ToString(name);
    }
  }
  EXPECT_EQ(ToString(LinearName(LinearRole::kGate)), "gate");
  EXPECT_EQ(ToString(SiteName(SiteRole::kGateUp)), "gate_up");
  EXPECT_EQ(ToString(SiteName(SiteRole::kDown, 3)), "experts.3.down");
  for (const char* text :
       {"", "Q", "qkv ", "experts.", "experts.3", "experts.3.", "experts..down", "experts.-1.down",
        "experts.03.down", "experts.3x.down", "experts.99999999999.down", "expert.3.down"}) {
    EXPECT_EQ(LinearNameFrom(text), std::nullopt) << text;
    EXPECT_EQ(SiteNameFrom(text), std::nullopt) << text;
  }
}

TEST(LayerNames, SitesStandBetweenLinears) {
  EXPECT_EQ(InputSite(LinearRole::kV), SiteName(SiteRole::kQkv));
  EXPECT_EQ(InputSite(LinearRole::kUp), SiteName(SiteRole::kGateUp));
  EXPECT_EQ(InputSite({LinearRole::kUp, 3}), SiteName(SiteRole::kGateUp));  // all experts share it
  EXPECT_EQ(InputSite({LinearRole::kDown, 3}), SiteName(SiteRole::kDown, 3));
  EXPECT_EQ(OutputSite({LinearRole::kGate, 3}), SiteName(SiteRole::kDown, 3));
  EXPECT_EQ(OutputSite(LinearRole::kO), std::nullopt);
  EXPECT_TRUE(GathersAtRunTime(SiteRole::kO));
  EXPECT_FALSE(GathersAtRunTime(SiteRole::kDown));
}

TEST(Layer, HasThePartsOfItsShape) {
  const LayerShape shape{.norms = {{.role = NormRole::kFfn, .width = 6}},
                         .linears = {{LinearRole::kUp, 8, 6, true}, {LinearRole::kDown, 6, 8}}};
  const std::vector<SiteShape> sites = shape.Sites();
  ASSERT_EQ(sites.size(), 2u);
  EXPECT_EQ(sites[0].name, SiteName(SiteRole::kGateUp));
  EXPECT_EQ(sites[0].width, 6);
  EXPECT_EQ(sites[1].width, 8);
  HostLayer layer(shape);
  layer[LinearRole::kDown].bias = {1.0f};
  EXPECT_EQ(layer.linears[1].bias.size(), 1u);
  layer[NormRole::kFfn].weight = {2.0f};
  EXPECT_EQ(layer.norms[0].weight[0], 2.0f);
  EXPECT_EQ(&layer[SiteRole::kDown], &layer.sites[1]);
  EXPECT_DEATH(layer[LinearRole::kGate], "the layer has no linear gate");
}

TEST(Layer, DenseMatricesKeepTheirType) {
  const std::vector<float> values = {1.0f, -2.5f, 0.1f, 65504.0f, 3.0f, 0.0f};
  HostLinear linear{.weight = DenseMatrix::FromFloats(values, 2, 3)};
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
  const HostLinear linear{.weight = matrix};
  EXPECT_TRUE(linear.packed());
  EXPECT_EQ(linear.n(), 2);
  EXPECT_EQ(linear.k(), 3);
  EXPECT_EQ(linear.ToFloats(), (std::vector<float>{0, 0, 0, -4.0f, 3.5f, 25.0f}));
}

}  // namespace
}  // namespace atom::artifact
