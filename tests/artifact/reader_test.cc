#include "atom/artifact/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tiny_layer.h"

namespace atom::artifact {
namespace {

using testing::HasSubstr;

// A tensor that tests change at will.
struct Tensor {
  DType dtype;
  Shape shape;
  std::string bytes;
};
using Tensors = std::map<std::string, Tensor>;

Tensors TensorsOf(const HostLayer& host) {
  Tensors tensors;
  for (const auto& [name, view] : LayerTensors(host, 0)) {
    tensors[name] = {
        view.dtype, view.shape,
        std::string(reinterpret_cast<const char*>(view.data), static_cast<size_t>(view.bytes()))};
  }
  return tensors;
}

template <class T>
void Poke(Tensor& tensor, size_t index, T value) {
  ASSERT_LE((index + 1) * sizeof(T), tensor.bytes.size());
  std::memcpy(tensor.bytes.data() + index * sizeof(T), &value, sizeof(T));
}

class ReaderTest : public testing::Test {
 protected:
  Result<HostLayer> Read(const Tensors& tensors, const LayerShape& shape,
                         const QuantizationConfig* config) {
    std::vector<io::NamedTensor> named;
    for (const auto& [name, tensor] : tensors) {
      const std::string& bytes = tensor.bytes;
      named.push_back({name, {tensor.dtype, tensor.shape, std::as_bytes(std::span(bytes)).data()}});
    }
    const auto path = folder_ / "layer.safetensors";
    EXPECT_TRUE(io::WriteSafetensors(path, named, {}).ok());
    Result<io::SafetensorsFile> file = io::SafetensorsFile::Open(path);
    EXPECT_TRUE(file.ok()) << file.error().message;
    files_.push_back(*std::move(file));  // dense layers view it
    return ReadLayer(Source(), 0, shape, config);
  }

  io::SafetensorsSource Source() const { return {std::span(&files_.back(), 1), kModel}; }

  // The sentence about a packed layer after `change`.
  template <class Change>
  std::string ErrorAfter(Change change) {
    Tensors tensors = packed_;
    change(tensors);
    const Result<HostLayer> host = Read(tensors, TinyShape(), &config_);
    return host.ok() ? "no error" : host.error().message;
  }
  std::string ErrorWith(const QuantizationConfig& config, const LayerShape& shape = TinyShape()) {
    const Result<HostLayer> host = Read(packed_, shape, &config);
    return host.ok() ? "no error" : host.error().message;
  }

  const std::string kModel = "the model";
  TempFolder folder_;
  std::vector<io::SafetensorsFile> files_;
  const QuantizationConfig config_ = TinyConfig(1);
  const Tensors packed_ = TensorsOf(TinyLayers(1).Packed(TinyShape()));
};

TEST_F(ReaderTest, PackedLayersComeBackBitForBit) {
  const HostLayer host = TinyLayers(2).Packed(TinyShape());
  const Result<HostLayer> read = Read(TensorsOf(host), TinyShape(), &config_);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(Stored(*read), Stored(host));
  EXPECT_EQ((*read)[SiteRole::kO].format.outlier_columns, 8);
  EXPECT_EQ(read->kv.storage, quant::KvStorage::kInt4);
}

TEST_F(ReaderTest, EightBitLayersComeBackBitForBit) {
  const HostLayer host = TinyLayers(3).Packed8(TinyShape());
  const QuantizationConfig config = TinyConfig(1, TinyRecipe(8));
  const Result<HostLayer> read = Read(TensorsOf(host), TinyShape(), &config);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(Stored(*read), Stored(host));
  EXPECT_TRUE((*read)[SiteRole::kQkv].permutation.empty());
}

TEST_F(ReaderTest, SimulatedAndPlainLayersComeBackBitForBit) {
  const HostLayer simulated = TinyLayers(4).Dense(TinyShape(), true);
  const QuantizationConfig config = TinyConfig(1, TinyRecipe(3));
  Result<HostLayer> read = Read(TensorsOf(simulated), TinyShape(), &config);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(Stored(*read), Stored(simulated));
  EXPECT_TRUE((*read)[SiteRole::kDown].format.simulated);

  const HostLayer plain = TinyLayers(5).Dense(TinyShape(false), false);
  read = Read(TensorsOf(plain), TinyShape(false), nullptr);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(Stored(*read), Stored(plain));
  EXPECT_EQ((*read)[SiteRole::kDown].format.bits, 16);
}

quant::Recipe TwoLevelRecipe() {
  quant::Recipe recipe = TinyRecipe();
  recipe.weight.scales = recipe.activation.scales = quant::ScaleFormat::kTwoLevel;
  recipe.hadamard = true;
  return recipe;
}

/// TinyShape with odd outputs, whose multipliers leave a nibble over.
LayerShape OddShape() {
  LayerShape shape = TinyShape();
  for (LinearShape& linear : shape.linears) {
    if (linear.name.role == LinearRole::kGate || linear.name.role == LinearRole::kUp) linear.n = 27;
  }
  return shape;
}

TEST_F(ReaderTest, TwoLevelLayersComeBackBitForBit) {
  const HostLayer host = TinyLayers(8).Packed(OddShape(), quant::ScaleFormat::kTwoLevel);
  const QuantizationConfig config = TinyConfig(1, TwoLevelRecipe());
  const Tensors tensors = TensorsOf(host);
  EXPECT_EQ(tensors.at("model.layers.0.mlp.up_proj.multipliers4").shape, (Shape{2, 14}));
  EXPECT_EQ(tensors.at("model.layers.0.mlp.up_proj.row_scales4").shape, (Shape{27}));
  EXPECT_FALSE(tensors.contains("model.layers.0.mlp.up_proj.scales4"));
  const Result<HostLayer> read = Read(tensors, OddShape(), &config);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(Stored(*read), Stored(host));
  EXPECT_EQ((*read)[SiteRole::kO].format.hadamard, 8);
  EXPECT_EQ((*read)[SiteRole::kO].format.scales, quant::ScaleFormat::kTwoLevel);
}

TEST_F(ReaderTest, TwoLevelScalesOfWrongValuesAreRefused) {
  const QuantizationConfig config = TinyConfig(1, TwoLevelRecipe());
  const Tensors packed = TensorsOf(TinyLayers(9).Packed(OddShape(), quant::ScaleFormat::kTwoLevel));
  const auto error = [&](auto change) {
    Tensors tensors = packed;
    change(tensors);
    const Result<HostLayer> host = Read(tensors, OddShape(), &config);
    return host.ok() ? "no error" : host.error().message;
  };
  const std::string up = "model.layers.0.mlp.up_proj.";
  EXPECT_THAT(error([&](Tensors& t) { Poke(t[up + "multipliers4"], 14, uint8_t{0x30}); }),
              HasSubstr("up_proj.multipliers4': byte [1, 0] is 0x30, expected multipliers of 1 to "
                        "15"));
  EXPECT_THAT(
      error([&](Tensors& t) { Poke(t[up + "multipliers4"], 13, uint8_t{0x11}); }),
      HasSubstr("byte [0, 13] is 0x11, expected multipliers of 1 to 15 and nothing behind"));
  for (const float scale : {0.0f, -1.0f, NAN, INFINITY, 1.0f + 0x1p-20f}) {
    EXPECT_THAT(error([&](Tensors& t) { Poke(t[up + "row_scales4"], 3, scale); }),
                HasSubstr("row_scales4': element [3] is"));
  }
  EXPECT_THAT(error([&](Tensors& t) { t.erase(up + "row_scales4"); }), HasSubstr("is missing"));
  EXPECT_THAT(error([&](Tensors& t) { t[up + "scales4"] = t[up + "scales8"]; }),
              HasSubstr("scales4' is there, expected none"));
}

TEST_F(ReaderTest, AllColumnsMayBeOutliers) {
  quant::Recipe recipe = TinyRecipe();
  recipe.outliers = 20;
  recipe.weight.group = recipe.activation.group = 16;  // 20 = 20 + 0; 24 = 20 + 4; 28 = 20 + 8
  QuantizationConfig config = TinyConfig(1, recipe);
  HostLayer host = TinyLayers(6).Packed8(TinyShape());
  for (const SiteShape& site : TinyShape().Sites()) {
    host[site.name].permutation = TinyLayers(7).Shuffle(site.width);
  }
  const Result<HostLayer> read = Read(TensorsOf(host), TinyShape(), &config);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(Stored(*read), Stored(host));
}

TEST_F(ReaderTest, EveryTensorIsRequired) {
  for (const auto& entry : packed_) {
    const auto& name = entry.first;  // clang 14 captures no structured bindings
    const auto& tensor = entry.second;
    EXPECT_THAT(ErrorAfter([&](Tensors& tensors) { tensors.erase(name); }),
                HasSubstr("the model: tensor '" + name + "' is missing, expected " +
                          std::string(DTypeName(tensor.dtype))));
  }
}

TEST_F(ReaderTest, EveryShapeIsChecked) {
  for (const auto& entry : packed_) {
    const auto& name = entry.first;  // clang 14 captures no structured bindings
    const auto& tensor = entry.second;
    for (const int64_t change : {-1, +1}) {
      const std::string error = ErrorAfter([&](Tensors& tensors) {
        Tensor& changed = tensors[name];
        changed.shape.back() += change;  // the packed length off by one, among others
        changed.bytes.resize(
            static_cast<size_t>(ElementCount(changed.shape) * DTypeSize(changed.dtype)));
      });
      EXPECT_THAT(error, HasSubstr("layer.safetensors: tensor '" + name + "' is "));
      EXPECT_THAT(error, HasSubstr(ShapeString(tensor.shape)));
    }
    const std::string flat = ErrorAfter([&](Tensors& tensors) {
      tensors[name].shape = {1, ElementCount(tensor.shape), 1};
    });
    EXPECT_THAT(flat, HasSubstr("expected ")) << name;
  }
}

TEST_F(ReaderTest, EveryTypeIsChecked) {
  const std::map<DType, DType> other = {{DType::kU8, DType::kI8},
                                        {DType::kI8, DType::kU8},
                                        {DType::kF16, DType::kBF16},
                                        {DType::kI32, DType::kU32},
                                        {DType::kF32, DType::kI32}};
  for (const auto& entry : packed_) {
    const auto& name = entry.first;  // clang 14 captures no structured bindings
    const auto& tensor = entry.second;
    const DType wrong = other.at(tensor.dtype);
    EXPECT_THAT(ErrorAfter([&](Tensors& tensors) { tensors[name].dtype = wrong; }),
                HasSubstr(fmt::format("layer.safetensors: tensor '{}' is {} {}, expected {}", name,
                                      DTypeName(wrong), ShapeString(tensor.shape),
                                      DTypeName(tensor.dtype))));
  }
}

TEST_F(ReaderTest, ScalesAreFiniteAndPositive) {
  for (const auto& entry : packed_) {
    const auto& name = entry.first;  // clang 14 captures no structured bindings
    const auto& tensor = entry.second;
    if (tensor.dtype != DType::kF16) continue;
    for (const uint16_t bits : {0x0000, 0x8000, 0x8001, 0xbc00, 0x7c00, 0xfc00, 0x7e00, 0x7c01}) {
      const std::string error = ErrorAfter([&](Tensors& tensors) { Poke(tensors[name], 5, bits); });
      const Shape place = tensor.shape.size() == 2 ? Shape{0, 5} : Shape{5};
      EXPECT_THAT(error,
                  HasSubstr(fmt::format("tensor '{}': element {} is ", name, ShapeString(place))));
      EXPECT_THAT(error, HasSubstr("expected scales that are finite and positive"));
    }
  }
}

TEST_F(ReaderTest, UnquantizedValuesAreFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const char* name :
       {"model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.k_proj.bias"}) {
    EXPECT_THAT(ErrorAfter([&](Tensors& tensors) { Poke(tensors[name], 3, nan); }),
                HasSubstr(fmt::format("tensor '{}': element [3] is nan", name)));
  }
  Tensors plain = TensorsOf(TinyLayers(8).Dense(TinyShape(), false));
  Poke<uint16_t>(plain["model.layers.0.self_attn.o_proj.weight"], 24 + 7, 0xfc00);
  EXPECT_THAT(Read(plain, TinyShape(), nullptr).error().message,
              HasSubstr("layer.safetensors: tensor 'model.layers.0.self_attn.o_proj.weight': "
                        "element [1, 7] is -inf, expected finite values"));
}

TEST_F(ReaderTest, PermutationsArePermutations) {
  for (const SiteShape& site : TinyShape().Sites()) {
    const std::string name = PermutationName(0, site.name);
    const int64_t k = packed_.at(name).shape[0];
    for (const int32_t index : {-1, static_cast<int32_t>(k), INT32_MIN, INT32_MAX}) {
      EXPECT_THAT(ErrorAfter([&](Tensors& tensors) { Poke(tensors[name], 0, index); }),
                  HasSubstr(fmt::format("tensor '{}' is no permutation, expected each of 0 to {} "
                                        "exactly once",
                                        name, k - 1)));
    }
    const std::string repeated = ErrorAfter([&](Tensors& tensors) {
      std::string& bytes = tensors[name].bytes;
      bytes.replace(0, 4, bytes.substr(4, 4));
    });
    EXPECT_THAT(repeated, HasSubstr("is no permutation"));
  }
}

TEST_F(ReaderTest, ContradictionsAreRefused) {
  const std::string q = "model.layers.0.self_attn.q_proj";
  const Tensor weight{DType::kF32, {1}, "abcd"};
  EXPECT_THAT(ErrorAfter([&](Tensors& tensors) { tensors[q + ".weight"] = weight; }),
              HasSubstr("tensor '" + q +
                        ".weight' is there, expected none: the recipe 'tiny' has "
                        "packed weights"));
  EXPECT_THAT(
      ErrorAfter([&](Tensors& tensors) { tensors["model.layers.0.mlp.up_proj.bias"] = weight; }),
      HasSubstr("up_proj.bias' is there, expected none: config.json says"));
  EXPECT_THAT(ErrorWith(TinyConfig(1, TinyRecipe(8))), HasSubstr("q_proj.codes4' is there"));
  EXPECT_THAT(ErrorWith(TinyConfig(1, TinyRecipe(3))),
              HasSubstr("q_proj.codes4' is there, expected none: the recipe 'tiny', simulated, has "
                        "dense weights"));
  const Result<HostLayer> plain = Read(packed_, TinyShape(), nullptr);
  EXPECT_THAT(plain.error().message, HasSubstr("config.json has no quantization_config"));

  quant::Recipe recipe = TinyRecipe();
  recipe.reorder = false;
  EXPECT_THAT(ErrorWith(TinyConfig(1, recipe)),
              HasSubstr("permutation.qkv' is there, expected none"));
  recipe = TinyRecipe();
  recipe.outliers = 6;
  EXPECT_THAT(ErrorWith(TinyConfig(1, recipe)), HasSubstr("is U8 [24, 8], expected U8 [24, 4]"));
  recipe = TinyRecipe();
  recipe.weight.group = recipe.activation.group = 4;
  EXPECT_THAT(ErrorWith(TinyConfig(1, recipe)), HasSubstr("is F16 [2, 24], expected F16 [4, 24]"));
  recipe = TinyRecipe();
  recipe.outliers = 21;
  EXPECT_THAT(ErrorWith(TinyConfig(1, recipe)),
              HasSubstr("model.layers.0.self_attn.q_proj has 20 columns, but the recipe 'tiny' "
                        "keeps 21 outliers"));
  recipe = TinyRecipe();
  recipe.weight.group = recipe.activation.group = 0;
  recipe.outliers = 3;
  EXPECT_THAT(ErrorWith(TinyConfig(1, recipe)),
              HasSubstr("has 20 columns, of which the recipe 'tiny' makes 17 4-bit"));
}

TEST_F(ReaderTest, HugeShapesAreRefusedBeforeAnythingIsAllocated) {
  LayerShape shape = TinyShape();
  for (LinearShape& linear : shape.linears) linear.n = int64_t{1} << 60;
  EXPECT_THAT(ErrorWith(config_, shape), HasSubstr("expected U8 [1152921504606846976, 8]"));
  shape = TinyShape();
  for (LinearShape& linear : shape.linears) linear.k = int64_t{1} << 60;
  EXPECT_THAT(ErrorWith(config_, shape), HasSubstr("expected U8 [24, 576460752303423"));
}

TEST_F(ReaderTest, EveryLinearAndSiteHasAClipRatio) {
  QuantizationConfig config = TinyConfig(1);
  config.layers[0].activation.erase(SiteRole::kO);
  EXPECT_THAT(ErrorWith(config), HasSubstr("the model: quantization_config: layers[0]: "
                                           "activation_clip: 'o' is missing"));
  config = TinyConfig(1);
  config.layers[0].weight[{LinearRole::kDown, 2}] = 1.0f;
  EXPECT_THAT(ErrorWith(config), HasSubstr("weight_clip: there is 'experts.2.down', which the "
                                           "model does not have"));
}

TEST_F(ReaderTest, ACheckpointsNormsGetTheirOffsetAndBias) {
  LayerShape shape = TinyShape(false);
  HostLayer host = TinyLayers(9).Dense(shape, false);
  shape.norms[0].weight_offset = 1.0f;
  shape.norms[1].bias = true;
  host[NormRole::kFfn].bias = TinyLayers(10).Floats(20);
  const Result<HostLayer> read = Read(TensorsOf(host), shape, nullptr);
  ASSERT_TRUE(read.ok()) << read.error().message;
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ((*read)[NormRole::kInput].weight[i], host[NormRole::kInput].weight[i] + 1.0f);
  }
  EXPECT_EQ((*read)[NormRole::kFfn].weight, host[NormRole::kFfn].weight);
  EXPECT_EQ((*read)[NormRole::kFfn].bias, host[NormRole::kFfn].bias);
}

TEST_F(ReaderTest, AnotherLayerIsMissing) {
  const QuantizationConfig config = TinyConfig(2);
  (void)Read(packed_, TinyShape(), &config);
  const auto host = ReadLayer(Source(), 1, TinyShape(), &config);
  EXPECT_THAT(host.error().message,
              HasSubstr("the model: tensor 'model.layers.1.self_attn.q_proj.codes4' is missing"));
}

}  // namespace
}  // namespace atom::artifact
