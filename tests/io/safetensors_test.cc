#include "atom/io/safetensors.h"

#include <cstring>
#include <gmock/gmock.h>

#include "atom/core/rng.h"
#include "atom/io/checksum.h"

#include "safetensors_bytes.h"
#include "temp_folder.h"

namespace atom::io {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

Result<SafetensorsFile> Parse(const std::string& bytes) {
  return SafetensorsFile::Parse(std::as_bytes(std::span(bytes)), "w.safetensors");
}

std::string ErrorOf(const std::string& bytes) {
  const Result<SafetensorsFile> parsed = Parse(bytes);
  if (parsed.ok()) return "no error";
  ExpectOneSentence(parsed.error().message);
  EXPECT_THAT(parsed.error().message, StartsWith("w.safetensors: "));
  return parsed.error().message;
}

// One tensor 't' over `data_bytes` bytes of data.
std::string OneTensor(std::string_view dtype, std::string_view shape, std::string_view offsets,
                      size_t data_bytes) {
  const std::string header = fmt::format(R"({{"t":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})",
                                         dtype, shape, offsets);
  return SafetensorsBytes(header, std::string(data_bytes, '\1'));
}

TEST(SafetensorsParseTest, HandSpelledFile) {
  const std::string bytes =
      SafetensorsBytes(R"({"b":{"dtype":"I8","shape":[3],"data_offsets":[8,11]},)"
                       R"("__metadata__":{"format":"pt","k":"v"},)"
                       R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8],"extra":1},)"
                       R"("none":{"dtype":"F16","shape":[0,7],"data_offsets":[11,11]}}    )",
                       std::string("\0\0\x80\x3f\0\0\0\xc0\x05\xff\x80", 11));
  const Result<SafetensorsFile> file = Parse(bytes);
  ASSERT_TRUE(file.ok()) << file.error().message;
  std::vector<std::string> names;
  for (const TensorInfo& info : file->tensors()) names.push_back(info.name);
  EXPECT_THAT(names, ElementsAre("a", "b", "none"));
  EXPECT_THAT(file->metadata(), ElementsAre(Pair("format", "pt"), Pair("k", "v")));
  EXPECT_EQ(file->bytes().size(), bytes.size());

  const TensorInfo* a = file->Find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->shape, (Shape{2, 1}));
  EXPECT_THAT(ToFloats(file->View(*a)), ElementsAre(1.0f, -2.0f));
  const TensorInfo* b = file->Find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, DType::kI8);
  EXPECT_EQ(std::memcmp(file->View(*b).data, "\x05\xff\x80", 3), 0);
  EXPECT_EQ(file->View(*file->Find("none")).elements(), 0);
  EXPECT_EQ(file->Find("c"), nullptr);
  EXPECT_EQ(file->Find("__metadata__"), nullptr);
  EXPECT_TRUE(file->CheckUnchanged().ok());
}

TEST(SafetensorsParseTest, AScalarAndAnEmptyFileAreLegal) {
  EXPECT_TRUE(Parse(OneTensor("F64", "[]", "[0,8]", 8)).ok());
  const Result<SafetensorsFile> empty = Parse(SafetensorsBytes("{}", ""));
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(empty->tensors().empty());
}

TEST(SafetensorsParseTest, HeaderLength) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("has 0 bytes, expected at least 8"));
  EXPECT_THAT(ErrorOf("1234567"), HasSubstr("has 7 bytes, expected at least 8"));
  EXPECT_THAT(ErrorOf(LengthBytes(0)), HasSubstr("header of 0 bytes does not begin with '{'"));
  EXPECT_THAT(ErrorOf(LengthBytes(7) + "{}"), HasSubstr("claims 7 bytes, found 2: the file is"));
  EXPECT_THAT(ErrorOf(LengthBytes(uint64_t{1} << 63) + "{}"),
              HasSubstr("claims 9223372036854775808 bytes, expected at most 100000000"));
  EXPECT_THAT(ErrorOf(LengthBytes(UINT64_MAX) + "{}"), HasSubstr("expected at most 100000000"));
  EXPECT_THAT(ErrorOf(LengthBytes(100'000'001) + "{}"), HasSubstr("expected at most 100000000"));
  EXPECT_THAT(ErrorOf(LengthBytes(100'000'000) + "{}"), HasSubstr("the file is truncated"));
}

TEST(SafetensorsParseTest, HeaderText) {
  EXPECT_THAT(ErrorOf(SafetensorsBytes(" {}", "")), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes("[]", "")), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes("{", "")), HasSubstr("header: not valid JSON"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes("{}x", "")), HasSubstr("header: not valid JSON"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes("{\"\xff\":1}", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes(R"({"t":1,"t":2})", "")), HasSubstr("'t' appears twice"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes("{\"a\":" + std::string(100'000, '['), "")),
              HasSubstr("deeper than 64"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes(R"({"__metadata__":{"a":1}})", "")),
              HasSubstr("'a' in __metadata__ is the number 1, expected a string"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes(R"({"__metadata__":[]})", "")),
              HasSubstr("is an array, expected an object"));
}

TEST(SafetensorsParseTest, FieldsOfATensor) {
  EXPECT_THAT(ErrorOf(SafetensorsBytes(R"({"t":3})", "")),
              HasSubstr("tensor 't': expected an object with the field 'dtype', found the number"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes(R"({"t":{"shape":[],"data_offsets":[0,0]}})", "")),
              HasSubstr("tensor 't': field 'dtype' is missing"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes(R"({"t":{"dtype":"F32","data_offsets":[0,0]}})", "")),
              HasSubstr("tensor 't': field 'shape' is missing"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes(R"({"t":{"dtype":"F32","shape":[0]}})", "")),
              HasSubstr("tensor 't': field 'data_offsets' is missing"));
  EXPECT_THAT(ErrorOf(OneTensor("float32", "[1]", "[0,4]", 4)),
              HasSubstr("tensor 't': unknown dtype 'float32'"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[-1]", "[0,4]", 4)),
              HasSubstr("shape holds the number -1, expected an integer from 0"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[1.0]", "[0,4]", 4)), HasSubstr("shape holds the number"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[9223372036854775808]", "[0,4]", 4)),
              HasSubstr("expected an integer from 0 to 2^63 - 1"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]", 4)),
              HasSubstr("shape has 9 entries, expected at most 8"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[1]", "[0]", 4)),
              HasSubstr("data_offsets has 1 entries, expected 2"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[1]", "[0,4,8]", 4)), HasSubstr("has 3 entries"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[1]", "[\"0\",4]", 4)), HasSubstr("the string '0'"));
}

TEST(SafetensorsParseTest, SizesAndOffsets) {
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[1]", "[4,0]", 4)), HasSubstr("[4, 0] are reversed"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[2]", "[0,8]", 4)),
              HasSubstr("data_offsets [0, 8] end past the 4 bytes of data"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[2]", "[0,7]", 7)),
              HasSubstr("F32 [2] needs 8 bytes, but data_offsets [0, 7] span 7"));
  EXPECT_THAT(ErrorOf(OneTensor("BF16", "[2]", "[0,2]", 2)), HasSubstr("BF16 [2] needs 4 bytes"));
  EXPECT_THAT(ErrorOf(OneTensor("F8_E4M3", "[2]", "[0,4]", 4)), HasSubstr("needs 2 bytes"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[0]", "[0,4]", 4)), HasSubstr("[0] needs 0 bytes"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[4294967296,4294967296]", "[0,4]", 4)),
              HasSubstr("the size of shape [4294967296, 4294967296] does not fit 63 bits"));
  // 2^62 elements fit, their bytes wrap to zero.
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[4611686018427387904]", "[0,0]", 0)),
              HasSubstr("does not fit 63 bits"));
  EXPECT_THAT(ErrorOf(OneTensor("F32", "[1]", "[9223372036854775800,9223372036854775804]", 4)),
              HasSubstr("end past the 4 bytes"));
}

std::string TwoTensors(std::string_view a, std::string_view b, size_t data_bytes) {
  return SafetensorsBytes(fmt::format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":{}}},)"
                                      R"("b":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
                                      a, b),
                          std::string(data_bytes, '\1'));
}

TEST(SafetensorsParseTest, TensorsMustCoverTheDataExactly) {
  EXPECT_TRUE(Parse(TwoTensors("[0,4]", "[4,8]", 8)).ok());
  EXPECT_TRUE(Parse(TwoTensors("[4,8]", "[0,4]", 8)).ok());
  EXPECT_THAT(ErrorOf(TwoTensors("[0,4]", "[3,7]", 8)),
              HasSubstr("tensor 'b' begins at byte 3 of the data, expected 4: it overlaps"));
  EXPECT_THAT(ErrorOf(TwoTensors("[0,4]", "[0,4]", 8)), HasSubstr("overlaps"));
  EXPECT_THAT(ErrorOf(TwoTensors("[0,4]", "[5,9]", 9)),
              HasSubstr("tensor 'b' begins at byte 5 of the data, expected 4: there is a gap"));
  EXPECT_THAT(ErrorOf(TwoTensors("[1,5]", "[5,9]", 9)), HasSubstr("'a' begins at byte 1"));
  EXPECT_THAT(ErrorOf(TwoTensors("[0,4]", "[4,8]", 9)),
              HasSubstr("9 bytes of data, expected 8: there are bytes after the last tensor"));
  EXPECT_THAT(ErrorOf(TwoTensors("[0,4]", "[4,8]", 7)), HasSubstr("end past the 7 bytes"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes("{}", "x")), HasSubstr("1 bytes of data, expected 0"));
}

TEST(SafetensorsParseTest, HostileNamesStayOnOneLine) {
  const std::string name = "x\\n" + std::string(10'000, 'y');
  const std::string bytes = SafetensorsBytes(fmt::format(R"({{"{}":{{"dtype":"?"}}}})", name), "");
  EXPECT_THAT(ErrorOf(bytes), HasSubstr("tensor 'x\\x0ayyy"));
}

// A valid file cut anywhere, or with any bit of its header flipped, is read or refused, never more.
TEST(SafetensorsParseTest, TruncationsAndBitFlips) {
  const std::string good = TwoTensors("[0,4]", "[4,8]", 8);
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_NE(ErrorOf(good.substr(0, length)), "no error") << length;
  }
  for (size_t bit = 0; bit < 8 * (good.size() - 8); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    const Result<SafetensorsFile> parsed = Parse(bad);
    if (!parsed.ok()) {
      ExpectOneSentence(parsed.error().message);
      continue;
    }
    for (const TensorInfo& info : parsed->tensors()) {
      const TensorView view = parsed->View(info);
      ASSERT_LE(view.data + view.bytes(), parsed->bytes().data() + parsed->bytes().size());
    }
  }
}

class SafetensorsWriteTest : public ::testing::Test {
 protected:
  TempFolder folder_;
  std::vector<float> floats_ = {1.5f, -2.0f, 0.0f, 3e38f, 1e-40f, 7.0f};
  std::vector<int8_t> codes_ = {-8, 7, 0};
  std::vector<NamedTensor> Tensors() const {
    return {
        {"z.last \"quoted\" é", {DType::kF32, {2, 3}, AsBytes(floats_.data())}},
        {"a.codes", {DType::kI8, {3}, AsBytes(codes_.data())}},
        {"empty", {DType::kF16, {0, 4}, nullptr}},
        {"m.scalar", {DType::kF32, {}, AsBytes(floats_.data() + 5)}},
    };
  }
  template <class T>
  static const std::byte* AsBytes(const T* data) {
    return reinterpret_cast<const std::byte*>(data);
  }
};

TEST_F(SafetensorsWriteTest, RoundTrip) {
  const auto path = folder_ / "w.safetensors";
  const Result<std::string> sum =
      WriteSafetensors(path, Tensors(), {{"tool", "atom"}, {"x", "\n"}});
  ASSERT_TRUE(sum.ok()) << sum.error().message;
  EXPECT_EQ(*sum, *ChecksumOfFile(path));

  const Result<SafetensorsFile> file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->source(), path.string());
  EXPECT_THAT(file->metadata(), ElementsAre(Pair("tool", "atom"), Pair("x", "\n")));
  const std::vector<NamedTensor> written = Tensors();
  ASSERT_EQ(file->tensors().size(), written.size());
  for (const NamedTensor& expected : written) {
    const TensorInfo* info = file->Find(expected.name);
    ASSERT_NE(info, nullptr) << expected.name;
    EXPECT_EQ(info->dtype, expected.tensor.dtype);
    EXPECT_EQ(info->shape, expected.tensor.shape);
    const auto bytes = static_cast<size_t>(expected.tensor.bytes());
    if (bytes == 0) continue;
    EXPECT_EQ(std::memcmp(file->View(*info).data, expected.tensor.data, bytes), 0);
  }
  // In the order given, and the data where a cache line begins.
  EXPECT_EQ(file->tensors().front().name, written.front().name);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->View(file->tensors().front()).data) % 64, 0u);
}

TEST_F(SafetensorsWriteTest, SameInputSameBytes) {
  const Result<std::string> a = WriteSafetensors(folder_ / "a", Tensors(), {{"k", "v"}});
  const Result<std::string> b = WriteSafetensors(folder_ / "b", Tensors(), {{"k", "v"}});
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(*a, *b);
  EXPECT_EQ(Slurp(folder_ / "a"), Slurp(folder_ / "b"));
}

TEST_F(SafetensorsWriteTest, HeaderAsDrawnInTheDocs) {
  const std::vector<NamedTensor> one = {{"t", {DType::kI8, {3}, AsBytes(codes_.data())}}};
  ASSERT_TRUE(WriteSafetensors(folder_ / "one", one, {}).ok());
  std::string header = R"({"t":{"data_offsets":[0,3],"dtype":"I8","shape":[3]}})";
  header.resize(120 - 64, ' ');  // 8 + 56 = 64
  EXPECT_EQ(Slurp(folder_ / "one"), SafetensorsBytes(header, std::string("\xf8\x07\0", 3)));
}

TEST_F(SafetensorsWriteTest, Refusals) {
  std::vector<NamedTensor> tensors = Tensors();
  tensors[1].name = tensors[0].name;
  EXPECT_THAT(WriteSafetensors(folder_ / "w", tensors, {}).error().message,
              HasSubstr("two tensors are called"));
  tensors[1].name = "__metadata__";
  EXPECT_THAT(WriteSafetensors(folder_ / "w", tensors, {}).error().message,
              HasSubstr("cannot be called '__metadata__'"));
  EXPECT_THAT(WriteSafetensors(folder_ / "absent/w", Tensors(), {}).error().message,
              AllOf(HasSubstr("absent/w"), HasSubstr("No such file")));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST(SafetensorsOpenTest, Refusals) {
  const TempFolder folder;
  EXPECT_THAT(SafetensorsFile::Open(folder / "absent").error().message, HasSubstr("No such file"));
  EXPECT_THAT(SafetensorsFile::Open(folder.Write("e", "")).error().message, HasSubstr("is empty"));
  EXPECT_THAT(SafetensorsFile::Open(folder.path()).error().message, HasSubstr("is a folder"));
}

TEST(SafetensorsOpenTest, ARealModel) {
  const std::filesystem::path path =
      ATOM_SOURCE_DIR "/../shared/models/books-17m/model.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "books-17m is not here";
  const Result<SafetensorsFile> file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors().size(), 2u + 6 * 9);
  const TensorInfo* down = file->Find("model.layers.5.mlp.down_proj.weight");
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(down->dtype, DType::kBF16);
  EXPECT_EQ(down->shape, (Shape{512, 1152}));
  EXPECT_THAT(file->metadata(), ElementsAre(Pair("format", "pt")));
}

}  // namespace
}  // namespace atom::io
