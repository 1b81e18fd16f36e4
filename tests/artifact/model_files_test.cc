#include "atom/artifact/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_layer.h"

namespace atom::artifact {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(PrettyJson, KeepsPlainArraysOnOneLine) {
  const json value = json::parse(
      R"({"a": [1, 2.5, "x"], "b": {}, "c": [[1], [2, 3]], "d": {"e": null}, "f": [{"g": true}, []]})");
  EXPECT_EQ(PrettyJson(value),
            "{\n"
            "  \"a\": [1,2.5,\"x\"],\n"
            "  \"b\": {},\n"
            "  \"c\": [\n"
            "    [1],\n"
            "    [2,3]\n"
            "  ],\n"
            "  \"d\": {\n"
            "    \"e\": null\n"
            "  },\n"
            "  \"f\": [\n"
            "    {\n"
            "      \"g\": true\n"
            "    },\n"
            "    []\n"
            "  ]\n"
            "}\n");
  EXPECT_EQ(json::parse(PrettyJson(value)), value);
  EXPECT_EQ(PrettyJson(json("text")), "\"text\"\n");
}

TEST(WriteHeadShard, RefusesWhatIsMissing) {
  const TempFolder folder;
  const auto dir = folder / "model";
  WriteTinyCheckpoint(dir, 1, true);
  const OpenedCheckpoint opened(dir);
  const auto path = folder / "head.safetensors";
  SourceModel source{opened.files, opened.tensors, TinyOuter(/*tied=*/false)};
  EXPECT_THAT(WriteHeadShard(source, path).error().message,
              HasSubstr("model: tensor 'lm_head.weight' is missing"));
  EXPECT_FALSE(std::filesystem::exists(path));
  source.outer = TinyOuter(/*tied=*/true);
  EXPECT_TRUE(WriteHeadShard(source, path).ok());
  source.outer[1].shape = {21};
  EXPECT_THAT(
      WriteHeadShard(source, path).error().message,
      HasSubstr("tensor 'model.norm.weight' is F32 [20], expected F32 or F16 or BF16 [21]"));
}

/// In memory, for what no checkpoint of the tests holds.
class MadeSource final : public io::TensorSource {
 public:
  const std::string& name() const override { return name_; }
  std::optional<io::FoundTensor> Find(std::string_view tensor) const override {
    const auto found = tensors.find(tensor);
    if (found == tensors.end()) return std::nullopt;
    return io::FoundTensor{.view = found->second, .owned = {}, .file = &name_};
  }
  std::map<std::string, TensorView, std::less<>> tensors;

 private:
  std::string name_ = "made";
};

TEST(WriteHeadShard, TakesHalfOfTheBytesWhereThatIsExact) {
  const TempFolder folder;
  WriteTinyCheckpoint(folder / "model", 1, true);
  const OpenedCheckpoint opened(folder / "model");
  const std::vector<float> short_values = {1.0f, -0.5f, 3.0f, 0.00390625f};
  const std::vector<float> long_values = {1.0f, -0.5f, 3.0f, 1.0f / 3.0f};
  const auto view = [](const std::vector<float>& values, Shape shape) {
    return TensorView{.dtype = DType::kF32,
                      .shape = std::move(shape),
                      .data = reinterpret_cast<const std::byte*>(values.data())};
  };
  MadeSource made;
  made.tensors = {{"model.embed_tokens.weight", view(short_values, {2, 2})},
                  {"lm_head.weight", view(long_values, {2, 2})},
                  {"model.norm.weight", view(short_values, {4})}};
  const SourceModel source{opened.files,
                           made,
                           {{"model.embed_tokens.weight", {2, 2}},
                            {"lm_head.weight", {2, 2}},
                            {"model.norm.weight", {4}}}};
  const auto path = folder / "head.safetensors";
  ASSERT_TRUE(WriteHeadShard(source, path).ok());
  const io::SafetensorsFile file = io::SafetensorsFile::Open(path).value();
  const std::string name = "head";
  const io::SafetensorsSource written(std::span(&file, 1), name);
  const auto stored = [&](std::string_view tensor) { return written.Find(tensor)->view; };
  EXPECT_EQ(stored("model.embed_tokens.weight").dtype, DType::kBF16);
  EXPECT_EQ(ToFloats(stored("model.embed_tokens.weight")), short_values);
  EXPECT_EQ(stored("lm_head.weight").dtype, DType::kF32);
  EXPECT_EQ(ToFloats(stored("lm_head.weight")), long_values);
  EXPECT_EQ(stored("model.norm.weight").dtype, DType::kF32);
}

}  // namespace
}  // namespace atom::artifact
