// Loading: files are verified while they are packed, and a damaged one is never used.
#include "atom/model/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>

#include "atom/io/checksum.h"
#include "atom/kernels/registry.h"

#include "tests/tiny_model.h"

namespace atom::model {
namespace {

using ::testing::HasSubstr;

constexpr const char* kShard = "model-00001-of-00001.safetensors";

class ModelFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tests::WriteTinyModel({.layers = 3}, folder_.path());
    std::ifstream file(folder_ / "model.safetensors", std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    std::filesystem::remove(folder_ / "model.safetensors");
    WriteIndex();
  }

  /// The model as one shard whose checksum is that of bytes_ as they are now.
  void WriteIndex() {
    tests::WriteText(folder_ / kShard, bytes_);
    nlohmann::json index;
    const Result<io::SafetensorsFile> shard = io::SafetensorsFile::Open(folder_ / kShard);
    ASSERT_TRUE(shard.ok()) << shard.error().message;
    for (const io::TensorInfo& tensor : shard->tensors()) {
      index["weight_map"][tensor.name] = kShard;
    }
    index["metadata"]["checksums"][kShard] = io::ChecksumOf(bytes_);
    tests::WriteText(folder_ / "model.safetensors.index.json", index.dump());
  }

  /// Turns the last element of a tensor into a NaN.
  void Spoil(const std::string& name) {
    const auto bytes = std::as_bytes(std::span(bytes_));
    const Result<io::SafetensorsFile> file = io::SafetensorsFile::Parse(bytes, "model");
    const TensorView view = file->View(*file->Find(name));
    const auto end = static_cast<size_t>(view.data - bytes.data() + view.bytes());
    bytes_[end - 1] = '\x7f';
    bytes_[end - 2] = '\xff';
  }

  std::string LoadError() {
    const Result<ModelFiles> files = ModelFiles::Open(folder_.path());
    EXPECT_TRUE(files.ok()) << (files.ok() ? "" : files.error().message);
    const auto backend = kernels::MakeBackend("cpu", {.threads = 2});
    const auto loaded = LoadTransformer(*files, **backend, {.limits = {.rows = 8, .positions = 8}});
    return loaded.ok() ? "" : loaded.error().message;
  }

  tests::TemporaryFolder folder_;
  std::string bytes_;
};

TEST_F(ModelFilesTest, AVerifiedModelLoads) { EXPECT_EQ(LoadError(), ""); }

TEST_F(ModelFilesTest, ADamagedFileIsCalledThat) {
  bytes_[bytes_.size() / 2] = static_cast<char>(bytes_[bytes_.size() / 2] ^ 1);
  tests::WriteText(folder_ / kShard, bytes_);
  EXPECT_THAT(LoadError(), HasSubstr(std::string(kShard) + ": has the checksum "));
  Spoil("model.layers.1.mlp.up_proj.weight");  // what packing would complain about
  tests::WriteText(folder_ / kShard, bytes_);
  EXPECT_THAT(LoadError(), HasSubstr(std::string(kShard) + ": has the checksum "));
}

TEST_F(ModelFilesTest, ValuesAreCheckedWhateverTheChecksumSays) {
  const std::string whole = bytes_;
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight",
                           "model.layers.2.self_attn.q_proj.weight"}) {
    bytes_ = whole;
    Spoil(name);
    WriteIndex();
    const std::string error = LoadError();
    EXPECT_THAT(error, HasSubstr(std::string(kShard) + ": tensor '" + name + "': element ["));
    EXPECT_THAT(error, HasSubstr("is nan, expected finite values"));
  }
}

}  // namespace
}  // namespace atom::model
