// The reader against files spelled by hand: what is right is read, and each fault of published
// attacks on GGUF readers is one sentence.
#include "atom/io/gguf/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "atom/io/checkpoint.h"

#include "tests/io/gguf/gguf_bytes.h"
#include "tests/io/temp_folder.h"

namespace atom::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<GgufFile> Parse(const std::string& bytes) {
  return GgufFile::Parse(std::as_bytes(std::span(bytes)), "f.gguf");
}

std::string ErrorOf(const std::string& bytes) {
  const Result<GgufFile> file = Parse(bytes);
  return file.ok() ? "" : file.error().message;
}
std::string ErrorOf(const GgufBytes& file) { return ErrorOf(file.Bytes()); }

GgufBytes WithKey(std::string key) { return {.keys = {std::move(key)}}; }
GgufBytes WithTensor(std::string tensor) {
  return {.tensors = {std::move(tensor)}, .data = std::string(64, '\1')};
}

TEST(GgufFile, ReadsKeysAndTensors) {
  for (const uint32_t version : {2u, 3u}) {
    const GgufBytes spelled{
        .version = version,
        .keys = {KeyBytes("a.int", 7u), KeyBytes("a.float", 0.1f), KeyBytes("a.bool", true),
                 KeyBytes("a.text", "words"), KeyBytes("a.list", std::vector<std::string>{"x", ""}),
                 KeyBytes("a.ints", std::vector<int32_t>{3, -1})},
        .tensors = {TensorBytes("w", {3, 2}, 0, 0), TensorBytes("q", {32}, 8, 32)},
        .data = std::string(24, '\0') + std::string(8, 'p') + std::string(34, '\2')};
    const std::string bytes = spelled.Bytes();
    const Result<GgufFile> file = Parse(bytes);
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->version(), version);
    EXPECT_EQ(*RequireInt(*file, "a.int"), 7);
    EXPECT_EQ(**OptionalNumber(*file, "a.float"), 0.1);  // the decimal, not 0.10000000149
    EXPECT_EQ(**OptionalBool(*file, "a.bool"), true);
    EXPECT_EQ(*RequireString(*file, "a.text"), "words");
    EXPECT_THAT((*RequireArray(*file, "a.list", true))->strings, ElementsAre("x", ""));
    const GgufArray& ints = **RequireArray(*file, "a.ints", false);
    EXPECT_EQ(ints.IntAt(0), 3);
    EXPECT_EQ(ints.IntAt(1), -1);
    ASSERT_EQ(file->tensors().size(), 2u);
    EXPECT_EQ(file->FindTensor("w")->shape, (Shape{2, 3}));  // outermost axis first
    EXPECT_EQ(file->FindTensor("q")->type->name, "Q8_0");
    EXPECT_EQ(file->FindTensor("q")->data.size(), 34u);
    EXPECT_EQ(file->FindTensor("q")->data[0], std::byte{2});
    EXPECT_EQ(file->FindTensor("r"), nullptr);
  }
}

TEST(GgufFile, StacksOfExpertsAreMatrices) {
  GgufBytes spelled{.tensors = {TensorBytes("blk.7.ffn_up_exps.weight", {32, 2, 3}, 8, 0),
                                TensorBytes("cube", {2, 2, 2}, 0, 224)}};
  for (char expert = 0; expert < 3; ++expert) spelled.data += std::string(2 * 34, expert);
  spelled.data.resize(224 + 32, '\0');
  const std::string bytes = spelled.Bytes();
  const Result<GgufFile> file = Parse(bytes);
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_EQ(file->tensors().size(), 4u);
  for (size_t expert = 0; expert < 3; ++expert) {
    const GgufTensor& matrix = file->tensors()[expert];
    EXPECT_EQ(matrix.name, fmt::format("blk.7.ffn_up.{}.weight", expert));
    EXPECT_EQ(file->FindTensor(matrix.name), &matrix);
    EXPECT_EQ(matrix.shape, (Shape{2, 32}));
    ASSERT_EQ(matrix.data.size(), 2 * 34u);
    EXPECT_EQ(matrix.data.front(), static_cast<std::byte>(expert));
    EXPECT_EQ(matrix.data.back(), static_cast<std::byte>(expert));
  }
  EXPECT_EQ(file->FindTensor("cube")->shape, (Shape{2, 2, 2}));

  spelled.tensors[1] = TensorBytes("blk.7.ffn_up.2.weight", {2, 2}, 0, 224);
  EXPECT_THAT(ErrorOf(spelled), HasSubstr("tensor 'blk.7.ffn_up.2.weight' is there twice"));
}

TEST(GgufFile, GettersNameKeyExpectedAndFound) {
  const std::string bytes = WithKey(KeyBytes("k", "text")).Bytes();
  const Result<GgufFile> file = Parse(bytes);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(RequireInt(*file, "k").error().message,
            "f.gguf: key 'k' is the string 'text', expected an integer");
  EXPECT_EQ(RequireInt(*file, "l").error().message,
            "f.gguf: key 'l' is missing, expected an integer");
  EXPECT_EQ(RequireArray(*file, "k", true).error().message,
            "f.gguf: key 'k' is the string 'text', expected an array of string");
}

TEST(GgufFile, RefusesOtherFilesAndVersions) {
  EXPECT_THAT(ErrorOf(std::string("GG")), HasSubstr("it is no GGUF file"));
  EXPECT_THAT(ErrorOf(GgufBytes{.magic = "ggjt"}), HasSubstr("it is no GGUF file"));
  EXPECT_THAT(ErrorOf(GgufBytes{.version = 1}), HasSubstr("is GGUF of version 1, expected 2 or 3"));
  EXPECT_THAT(ErrorOf(GgufBytes{.version = 4}), HasSubstr("version 4"));
  EXPECT_EQ(ErrorOf(GgufBytes{.version = 0x03000000}),
            "f.gguf: is big-endian (version 3 in swapped bytes), expected little-endian");
  EXPECT_THAT(ErrorOf(WithKey(KeyBytes("split.count", 3, NumberBytes<int16_t>(4)))),
              HasSubstr("is one of 4 parts of a split model"));
}

TEST(GgufFile, HoldsCountsAgainstWhatFollows) {
  const GgufBytes empty;
  EXPECT_EQ(ErrorOf(empty.Header(0, uint64_t{1} << 60)),
            "f.gguf: claims 1152921504606846976 keys, but only 0 bytes follow");
  EXPECT_THAT(ErrorOf(empty.Header(UINT64_MAX, 0)), HasSubstr("tensors, but only 0 bytes follow"));
  EXPECT_THAT(ErrorOf(empty.Header(1, 1) + std::string(40, '\xff')),
              HasSubstr("ends inside of the name of key 0"));
  // A string of 2^63 bytes, and one that would wrap the position around.
  for (const uint64_t length : {uint64_t{1} << 63, UINT64_MAX - 3}) {
    EXPECT_THAT(ErrorOf(WithKey(KeyBytes("k", 8, NumberBytes(length) + std::string(64, 'x')))),
                HasSubstr("ends inside of key 'k'"));
  }
  const auto array = [](uint32_t type, uint64_t count) {
    return WithKey(KeyBytes("k", 9, NumberBytes(type) + NumberBytes(count)));
  };
  EXPECT_THAT(ErrorOf(array(10, uint64_t{1} << 61)), HasSubstr("claims 2305843009213693952"));
  EXPECT_THAT(ErrorOf(array(8, uint64_t{1} << 61)), HasSubstr("elements, but only"));
  EXPECT_EQ(ErrorOf(array(9, 1)),
            "f.gguf: key 'k' is an array of arrays, expected one of numbers or strings");
  EXPECT_EQ(ErrorOf(array(13, 1)), "f.gguf: key 'k' has the type 13, expected 0 to 12");
}

TEST(GgufFile, RefusesContradictions) {
  EXPECT_EQ(ErrorOf(GgufBytes{.keys = {KeyBytes("k", 1u), KeyBytes("k", 2u)}}),
            "f.gguf: key 'k' is there twice");
  EXPECT_EQ(ErrorOf(WithKey(KeyBytes("k", 7, std::string(1, '\2')))),
            "f.gguf: key 'k' is the bool 2, expected 0 or 1");
  EXPECT_THAT(ErrorOf(WithKey(KeyBytes("", 1u))), HasSubstr("has 0 bytes, expected 1 to 256"));
  EXPECT_THAT(ErrorOf(WithKey(KeyBytes(std::string(257, 'k'), 1u))), HasSubstr("has 257 bytes"));
  GgufBytes twice = WithTensor(TensorBytes("w", {4}, 0, 0));
  twice.tensors.push_back(TensorBytes("w", {4}, 0, 32));
  EXPECT_EQ(ErrorOf(twice), "f.gguf: tensor 'w' is there twice");
  twice.tensors[1] = TensorBytes("v", {4}, 0, 0);
  EXPECT_EQ(ErrorOf(twice),
            "f.gguf: tensor 'v' begins at byte 0 of the data, inside of the one before");
}

TEST(GgufFile, RefusesAlignmentsThatAreNone) {
  for (const uint32_t alignment : {0u, 3u, 48u, 1u << 31, 131072u}) {
    EXPECT_THAT(ErrorOf(WithKey(KeyBytes("general.alignment", alignment))),
                HasSubstr("expected a power of two from 1 to 65536"));
  }
  EXPECT_THAT(ErrorOf(WithKey(KeyBytes("general.alignment", "32"))),
              HasSubstr("is the string '32', expected an integer"));
  GgufBytes wide{.keys = {KeyBytes("general.alignment", 64u)},
                 .tensors = {TensorBytes("w", {4}, 0, 64)},
                 .data = std::string(80, '\0'),
                 .alignment = 64};
  EXPECT_EQ(ErrorOf(wide), "");
  wide.tensors = {TensorBytes("w", {4}, 0, 32)};
  EXPECT_EQ(ErrorOf(wide),
            "f.gguf: tensor 'w' begins at byte 32 of the data, expected a multiple of 64");
}

TEST(GgufFile, RefusesShapesAndPlaces) {
  const auto error = [](const std::vector<uint64_t>& sizes, uint32_t type, uint64_t offset) {
    return ErrorOf(WithTensor(TensorBytes("w", sizes, type, offset)));
  };
  EXPECT_EQ(error({16}, 0, 0), "");
  EXPECT_THAT(error({}, 0, 0), HasSubstr("has 0 dimensions, expected 1 to 4"));
  EXPECT_THAT(error({1, 1, 1, 1, 1}, 0, 0), HasSubstr("has 5 dimensions"));
  EXPECT_THAT(error({4, 0}, 0, 0), HasSubstr("has a dimension of 0, expected 1"));
  EXPECT_THAT(error({uint64_t{1} << 63}, 0, 0), HasSubstr("expected 1 to 2^63 - 1"));
  // Products that wrap to something small.
  EXPECT_THAT(error({uint64_t{1} << 32, uint64_t{1} << 32}, 0, 0), HasSubstr("size below 2^63"));
  EXPECT_THAT(error({uint64_t{1} << 62}, 0, 0), HasSubstr("does not fit 63 bits"));
  EXPECT_THAT(error({33}, 8, 0), HasSubstr("expected rows of whole blocks of 32"));
  EXPECT_THAT(error({4}, 4, 0), HasSubstr("has the type 4, which is not known"));
  EXPECT_THAT(error({4}, 0xffffffffu, 0), HasSubstr("has the type 4294967295"));
  EXPECT_THAT(error({4}, 0, 8), HasSubstr("expected a multiple of 32"));
  EXPECT_THAT(error({17}, 0, 0), HasSubstr("of 68 bytes begins at byte 0 of the data, of which "
                                           "there are 64: the file is truncated or damaged"));
  EXPECT_THAT(error({4}, 0, UINT64_MAX - 31), HasSubstr("the file is truncated"));
  // 2^32 - 1 dimensions.
  const std::string many = StringBytes("w") + NumberBytes(UINT32_MAX) + std::string(40, '\1');
  EXPECT_THAT(ErrorOf(WithTensor(many)), HasSubstr("has 4294967295 dimensions"));
}

TEST(GgufFile, IsTruncatedAnywhere) {
  const std::string bytes =
      GgufBytes{.keys = {KeyBytes("a", "b"), KeyBytes("c", std::vector<std::string>{"d", "e"})},
                .tensors = {TensorBytes("w", {4, 2}, 0, 0)},
                .data = std::string(32, '\0')}
          .Bytes();
  EXPECT_EQ(ErrorOf(bytes), "");
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(ErrorOf(bytes.substr(0, size)), "") << size;
  }
}

TEST(GgufFile, ACheckpointNamesWhatItCannotOpen) {
  const TempFolder folder;
  const auto file = folder.Write("model.gguf", "GGUF");
  EXPECT_THAT(Checkpoint::Open(file).error().message, HasSubstr("ends inside of the header"));
  EXPECT_THAT(Checkpoint::Open(folder.path()).error().message,
              HasSubstr("name that file itself, not its folder"));
}

}  // namespace
}  // namespace atom::io
