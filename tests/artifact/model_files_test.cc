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

}  // namespace
}  // namespace atom::artifact
