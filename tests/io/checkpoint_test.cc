#include "atom/io/checkpoint.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "atom/io/checksum.h"

#include "safetensors_bytes.h"
#include "temp_folder.h"

namespace atom::io {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A file with the F32 tensor `name` = [1, -2].
std::string Pair(std::string_view name) {
  return SafetensorsBytes(
      fmt::format(R"({{"{}":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}})", name),
      std::string("\0\0\x80\x3f\0\0\0\xc0", 8));
}

std::string ErrorOf(const fs::path& dir) {
  const Result<Checkpoint> opened = Checkpoint::Open(dir);
  if (opened.ok()) return "no error";
  ExpectOneSentence(opened.error().message);
  EXPECT_THAT(opened.error().message, StartsWith(dir.string()));
  return opened.error().message;
}

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() { folder_.Write("model/config.json", R"({"hidden_size": 2})"); }

  void WriteIndex(std::string_view weight_map) const {
    folder_.Write("model/model.safetensors.index.json",
                  fmt::format(R"({{"metadata":{{}},"weight_map":{}}})", weight_map));
  }
  void WriteTwoShards() const {
    folder_.Write("model/m-1.safetensors", Pair("a"));
    folder_.Write("model/m-2.safetensors", Pair("b"));
    WriteIndex(R"({"a":"m-1.safetensors","b":"m-2.safetensors"})");
  }

  TempFolder folder_;
  fs::path dir_ = folder_ / "model";
};

TEST_F(CheckpointTest, OneFile) {
  folder_.Write("model/model.safetensors", Pair("w"));
  const Result<Checkpoint> opened = Checkpoint::Open(dir_);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened->config(), Json({{"hidden_size", 2}}));
  EXPECT_EQ(opened->config_text(), R"({"hidden_size": 2})");
  EXPECT_EQ(opened->config_source(), (dir_ / "config.json").string());
  EXPECT_THAT(opened->TensorNames(), ElementsAre("w"));
  EXPECT_TRUE(opened->Has("w"));
  EXPECT_FALSE(opened->Has("v"));
  const Result<TensorView> tensor = opened->Tensor("w", {2});
  ASSERT_TRUE(tensor.ok());
  EXPECT_THAT(ToFloats(*tensor), ElementsAre(1.0f, -2.0f));
  EXPECT_THAT(*opened->FiniteFloats("w", {2}), ElementsAre(1.0f, -2.0f));
}

TEST_F(CheckpointTest, ShardsAndMoves) {
  WriteTwoShards();
  Result<Checkpoint> opened = Checkpoint::Open(dir_);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const Result<TensorView> before = opened->Tensor("b", {2});
  const Checkpoint moved = *std::move(opened);
  EXPECT_THAT(moved.TensorNames(), ElementsAre("a", "b"));
  EXPECT_EQ(moved.SourceOf("b"), (dir_ / "m-2.safetensors").string());
  ASSERT_TRUE(before.ok() && moved.Tensor("b", {2}).ok());
  EXPECT_EQ(before->data, moved.Tensor("b", {2})->data);
  EXPECT_EQ(moved.shards().size(), 2u);
}

TEST_F(CheckpointTest, TensorsThatAreNotAsExpected) {
  folder_.Write("model/model.safetensors",
                SafetensorsBytes(R"({"n":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},)"
                                 R"("i":{"dtype":"I32","shape":[1],"data_offsets":[6,10]}})",
                                 std::string("\0\x3c\0\x7e\0\0\1\0\0\0", 10)));
  const Result<Checkpoint> opened = Checkpoint::Open(dir_);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const std::string file = (dir_ / "model.safetensors").string();
  EXPECT_EQ(opened->Tensor("x", {2, 3}).error().message,
            dir_.string() + ": tensor 'x' is missing, expected one of shape [2, 3]");
  EXPECT_EQ(opened->Tensor("n", {3, 1}).error().message,
            file + ": tensor 'n' has shape [3], expected [3, 1]");
  EXPECT_EQ(opened->Tensor("i", {1}).error().message,
            file + ": tensor 'i' is I32, expected F32, F16 or BF16");
  EXPECT_EQ(opened->TensorOfType("i", DType::kI8, {1}).error().message,
            file + ": tensor 'i' is I32, expected I8");
  EXPECT_TRUE(opened->TensorOfType("i", DType::kI32, {1}).ok());
  EXPECT_TRUE(opened->Tensor("n", {3}).ok());
  EXPECT_EQ(opened->FiniteFloats("n", {3}).error().message,
            file + ": tensor 'n' holds nan at element 1, expected finite values");
}

TEST_F(CheckpointTest, NoticesAFileThatShrinks) {
  const fs::path file = folder_.Write("model/model.safetensors", Pair("w"));
  const Result<Checkpoint> opened = Checkpoint::Open(dir_);
  ASSERT_TRUE(opened.ok());
  fs::resize_file(file, 20);
  EXPECT_THAT(opened->Tensor("w", {2}).error().message, HasSubstr("has 20 bytes now"));
}

TEST_F(CheckpointTest, NotAModel) {
  EXPECT_THAT(ErrorOf(folder_ / "absent"), HasSubstr("no such folder or file"));
  EXPECT_THAT(ErrorOf(dir_ / "config.json"), HasSubstr("is a file, expected the folder"));
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("expected model.safetensors or model.safetensors.index"));
  folder_.Write("model/llama.gguf", "GGUF");
  EXPECT_THAT(ErrorOf(dir_), AllOf(HasSubstr("found 'llama.gguf'"), HasSubstr("name that file")));
  folder_.Write("model/pytorch_model.bin", "PK");
  EXPECT_THAT(ErrorOf(dir_),
              AllOf(HasSubstr("found 'pytorch_model.bin'"), HasSubstr("convert it")));
}

TEST_F(CheckpointTest, Config) {
  folder_.Write("model/model.safetensors", Pair("w"));
  folder_.Write("model/config.json", "[1]");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("config.json: expected an object, found an array"));
  folder_.Write("model/config.json", "{");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("config.json: not valid JSON"));
  folder_.Write("model/config.json", "{}" + std::string(64 << 20, ' '));
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("longer than 67108864 bytes"));
  fs::remove(dir_ / "config.json");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("config.json: cannot be opened: No such file"));
}

TEST_F(CheckpointTest, IndexThatLies) {
  WriteTwoShards();
  WriteIndex(R"({"a":"m-1.safetensors","b":"m-3.safetensors"})");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("names the shard 'm-3.safetensors', which is not in"));
  folder_.Write("model/m-2.safetensors", Pair("a"));
  WriteIndex(R"({"b":"m-1.safetensors","c":"m-2.safetensors"})");
  EXPECT_THAT(ErrorOf(dir_), AllOf(HasSubstr("m-2.safetensors: tensor 'a' is in "),
                                   HasSubstr("m-1.safetensors already, expected it once")));
  WriteIndex("{}");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("weight_map names no tensor"));
  WriteIndex("[]");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("'weight_map' is an array, expected an object"));
  WriteIndex(R"({"a":"m-1.safetensors","a":"m-2.safetensors"})");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("'a' appears twice"));
}

TEST_F(CheckpointTest, WhatAnIndexPromisesAndNobodyNeeds) {
  WriteTwoShards();
  WriteIndex(R"({"a":"m-1.safetensors","b":"m-2.safetensors","rotary":"m-1.safetensors"})");
  const Result<Checkpoint> opened = Checkpoint::Open(dir_);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_TRUE(opened->Tensor("b", {2}).ok());
  EXPECT_FALSE(opened->Has("rotary"));
  EXPECT_EQ(opened->Tensor("rotary", {2}).error().message,
            (dir_ / "m-1.safetensors").string() +
                ": tensor 'rotary' is missing, though model.safetensors.index.json says that it is "
                "there");
}

// A shard that replaces some tensors of another, as fine-tunes are laid over a base.
TEST_F(CheckpointTest, TheIndexDecidesWhichShardCounts) {
  folder_.Write("model/base.safetensors", Pair("a"));
  folder_.Write("model/overlay.safetensors",
                SafetensorsBytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                 R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                 std::string("\0\0\x80\x3f\0\0\0\xc0", 8)));
  for (const auto& [shard, elements] :
       {std::pair{"base.safetensors", 2}, std::pair{"overlay.safetensors", 1}}) {
    WriteIndex(
        fmt::format(R"({{"a":"{}","b":"overlay.safetensors","c":"base.safetensors"}})", shard));
    const Result<Checkpoint> opened = Checkpoint::Open(dir_);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    EXPECT_TRUE(opened->Tensor("a", {elements}).ok()) << shard;
    EXPECT_EQ(opened->SourceOf("a"), (dir_ / shard).string());
  }
}

TEST_F(CheckpointTest, AGitLfsPointerIsNamed) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 2327\n";
  folder_.Write("model/model.safetensors", pointer);
  EXPECT_EQ(ErrorOf(dir_), (dir_ / "model.safetensors").string() +
                               ": is a Git LFS pointer, not the file: fetch it with git lfs pull");
  folder_.Write("model/config.json", pointer);
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("config.json: is a Git LFS pointer"));
}

TEST_F(CheckpointTest, IndexThatLeavesTheFolder) {
  folder_.Write("outside.safetensors", Pair("a"));
  const std::string absolute = (folder_ / "outside.safetensors").string();
  for (const std::string& name :
       {std::string("../outside.safetensors"), absolute, std::string(".."), std::string(""),
        std::string("sub/x.safetensors"), std::string("a\\u0000b")}) {
    WriteIndex(fmt::format(R"({{"a":"{}"}})", name));
    EXPECT_THAT(ErrorOf(dir_), HasSubstr("expected the plain name of a file in this folder"));
  }
  WriteIndex(R"({"a":7})");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("tensor 'a' is in the number 7, expected the plain name"));
}

TEST_F(CheckpointTest, LinksThatLeaveTheFolder) {
  folder_.Write("outside.txt", Pair("a"));
  fs::create_symlink("../outside.txt", dir_ / "m-1.safetensors");
  WriteIndex(R"({"a":"m-1.safetensors"})");
  EXPECT_THAT(ErrorOf(dir_), AllOf(HasSubstr("m-1.safetensors: is a link to '"),
                                   HasSubstr("expected a file inside the folder")));
  fs::remove(dir_ / "model.safetensors.index.json");
  fs::create_symlink("../outside.txt", dir_ / "model.safetensors");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("model.safetensors: is a link to '"));
  fs::remove(dir_ / "model.safetensors");
  fs::create_symlink("absent", dir_ / "model.safetensors");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("No such file"));

  fs::remove(dir_ / "model.safetensors");
  folder_.Write("model/real", Pair("a"));
  fs::create_symlink("real", dir_ / "model.safetensors");
  EXPECT_TRUE(Checkpoint::Open(dir_).ok()) << "a link inside the folder is fine";
  fs::create_symlink("model", folder_ / "alias");
  EXPECT_TRUE(Checkpoint::Open(folder_ / "alias").ok()) << "the folder may be a link itself";
}

TEST_F(CheckpointTest, WeightsMayBeLinksToWeights) {
  folder_.Write("elsewhere/w.safetensors", Pair("a"));
  fs::create_symlink(folder_ / "elsewhere/w.safetensors", dir_ / "model.safetensors");
  EXPECT_TRUE(Checkpoint::Open(dir_).ok());
  fs::remove(dir_ / "model.safetensors");
  folder_.Write("hub/models--x--y/blobs/0123", Pair("a"));
  fs::create_symlink("../hub/models--x--y/blobs/0123", dir_ / "model.safetensors");
  EXPECT_TRUE(Checkpoint::Open(dir_).ok());
  fs::remove(dir_ / "config.json");
  folder_.Write("elsewhere/config.safetensors", "{}");
  fs::create_symlink("../elsewhere/config.safetensors", dir_ / "config.json");
  EXPECT_THAT(ErrorOf(dir_), HasSubstr("config.json: is a link to"));
}

TEST_F(CheckpointTest, TheHuggingFaceCacheIsMadeOfLinks) {
  const fs::path model = folder_ / "models--x--y";
  folder_.Write("models--x--y/blobs/0123", Pair("a"));
  folder_.Write("models--x--y/blobs/4567", "{}");
  folder_.Write("models--x--y/refs/secret", Pair("a"));
  const fs::path snapshot = model / "snapshots" / "abc";
  fs::create_directories(snapshot);
  fs::create_symlink("../../blobs/4567", snapshot / "config.json");
  fs::create_symlink("../../blobs/0123", snapshot / "model.safetensors");
  EXPECT_TRUE(Checkpoint::Open(snapshot).ok());
  fs::remove(snapshot / "model.safetensors");
  fs::create_symlink("../../refs/secret", snapshot / "model.safetensors");
  EXPECT_THAT(ErrorOf(snapshot), HasSubstr("is a link to"));
}

TEST_F(CheckpointTest, FingerprintDependsOnEveryByte) {
  WriteTwoShards();
  const std::string expected =
      ChecksumOf(ChecksumOf(R"({"hidden_size": 2})") + " config.json\n" + ChecksumOf(Pair("a")) +
                 " m-1.safetensors\n" + ChecksumOf(Pair("b")) + " m-2.safetensors\n");
  EXPECT_EQ(Checkpoint::Open(dir_)->Fingerprint(), expected);
  std::string changed = Pair("b");
  changed.back() = '\x41';
  folder_.Write("model/m-2.safetensors", changed);
  EXPECT_NE(Checkpoint::Open(dir_)->Fingerprint(), expected);
  WriteTwoShards();
  folder_.Write("model/config.json", R"({"hidden_size":2})");
  EXPECT_NE(Checkpoint::Open(dir_)->Fingerprint(), expected);
}

}  // namespace
}  // namespace atom::io
