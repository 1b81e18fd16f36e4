#include "atom/io/foreign/foreign_module.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <span>

#include "atom/io/quote.h"

namespace atom::io {
namespace {

using FindStored = std::function<std::optional<FoundTensor>(std::string_view)>;

constexpr int64_t kWordBits = 32;
/// One more in each code of a word: what GPTQ's first version took from zero points.
constexpr uint32_t kOneIn4Bits = 0x11111111;
constexpr uint32_t kOneIn8Bits = 0x01010101;

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Builds the matrix of one module; the first complaint is kept.
class ModuleReader {
 public:
  ModuleReader(const ForeignFormat& format, const std::string& module, const FindStored& find)
      : format_(format), module_(module), find_(find) {}

  Result<ForeignModule> Read();

 private:
  Status ReadGptq();
  Status ReadAwq();
  Status ReadCompressedTensors();
  Result<Shape> ReadWeightShape();
  Result<ForeignScheme> SchemeOf(const TensorView& codes, int64_t scales, bool has_zeros) const;

  Result<FoundTensor> Require(std::string_view part);
  /// I32 of two axes; those of `shape` that are not −1 are what they must be.
  Result<TensorView> RequireWords(std::string_view part, const Shape& shape);
  Result<TensorView> RequireScales(std::string_view part, const Shape& shape);
  Status ReadGroups(std::string_view part, int64_t groups);
  Error Wrong(std::string_view part, const FoundTensor& found, const std::string& expected) const;
  std::string NameOf(std::string_view part) const { return module_ + std::string(part); }

  const ForeignFormat& format_;
  const std::string& module_;
  const FindStored& find_;
  ForeignModule result_;
};

bool Matches(const Shape& found, const Shape& expected) {
  return std::equal(found.begin(), found.end(), expected.begin(), expected.end(),
                    [](int64_t a, int64_t b) { return a == b || (b < 0 && a > 0); });
}

// "[64, any]"
std::string Spelling(const Shape& shape) {
  std::string text;
  for (const int64_t size : shape) {
    text += (text.empty() ? "" : ", ") + (size < 0 ? "any" : std::to_string(size));
  }
  return "[" + text + "]";
}

Error ModuleReader::Wrong(std::string_view part, const FoundTensor& found,
                          const std::string& expected) const {
  return MakeError("{}: tensor {} is {} {}, expected {}", *found.file, Quote(NameOf(part)),
                   DTypeName(found.view.dtype), ShapeString(found.view.shape), expected);
}

Result<FoundTensor> ModuleReader::Require(std::string_view part) {
  std::optional<FoundTensor> found = find_(NameOf(part));
  if (!found) {
    return MakeError("{}: tensor {} is missing, expected it beside {}", *result_.matrix.file,
                     Quote(NameOf(part)), Quote(NameOf(CodesSuffix(format_.method))));
  }
  result_.parts.push_back(NameOf(part));
  result_.matrix.stored_bytes += found->view.bytes();
  return *std::move(found);
}

Result<TensorView> ModuleReader::RequireWords(std::string_view part, const Shape& shape) {
  const Result<FoundTensor> found = Require(part);
  if (!found.ok()) return found.error();
  if (found->view.dtype != DType::kI32 || !Matches(found->view.shape, shape)) {
    return Wrong(part, *found, "I32 " + Spelling(shape));
  }
  return found->view;
}

Result<TensorView> ModuleReader::RequireScales(std::string_view part, const Shape& shape) {
  const Result<FoundTensor> found = Require(part);
  if (!found.ok()) return found.error();
  if (!IsFloatWeight(found->view.dtype) || !Matches(found->view.shape, shape)) {
    return Wrong(part, *found, "F16, BF16 or F32 " + Spelling(shape));
  }
  return found->view;
}

// The group of each input, where the files say it. Nothing but −1 is what is written where nobody
// ordered the inputs.
Status ModuleReader::ReadGroups(std::string_view part, int64_t groups) {
  if (!find_(NameOf(part))) return {};
  const Result<TensorView> found = RequireWords(part, {result_.matrix.k});
  if (!found.ok()) return found.error();
  std::vector<int32_t> groups_of(static_cast<size_t>(found->elements()));
  std::memcpy(groups_of.data(), found->data, groups_of.size() * sizeof(int32_t));
  if (std::ranges::all_of(groups_of, [](int32_t g) { return g == -1; })) return {};
  for (size_t k = 0; k < groups_of.size(); ++k) {
    if (groups_of[k] >= 0 && groups_of[k] < groups) continue;
    return MakeError("{}: tensor {}: element [{}] is {}, expected a group from 0 to {}",
                     *result_.matrix.file, Quote(NameOf(part)), k, groups_of[k], groups - 1);
  }
  result_.matrix.groups_of = std::move(groups_of);
  return {};
}

// qweight [K/8][N] · qzeros [groups][N/8] · scales [groups][N] · g_idx [K], of 4 bits.
Status ModuleReader::ReadGptq() {
  ForeignMatrix& matrix = result_.matrix;
  const ForeignScheme& scheme = format_.schemes.front();
  const int64_t count = kWordBits / scheme.bits;
  const Result<TensorView> words = RequireWords(".qweight", {-1, -1});
  if (!words.ok()) return words.error();
  matrix.k = words->dim(0) * count;
  matrix.n = words->dim(1);
  matrix.codes = {.words = *words, .bits = scheme.bits, .along_columns = false};
  const Result<TensorView> scales = RequireScales(".scales", {-1, matrix.n});
  if (!scales.ok()) return scales.error();
  matrix.scales = *scales;
  const int64_t groups = scales->dim(0);
  const Result<TensorView> zeros =
      RequireWords(".qzeros", {groups, DivideUp(matrix.n * scheme.bits, kWordBits)});
  if (!zeros.ok()) return zeros.error();
  const uint32_t one = scheme.bits == 4 ? kOneIn4Bits : kOneIn8Bits;
  matrix.zeros =
      PackedCodes{.words = *zeros, .bits = scheme.bits, .added = format_.zeros_minus_one ? one : 0};
  if (Status status = ReadGroups(".g_idx", groups); !status.ok()) return status;
  matrix.group = scheme.group > 0 ? scheme.group : matrix.k;
  if (!matrix.groups_of.empty() || groups == DivideUp(matrix.k, matrix.group)) return {};
  return MakeError("{}: tensor {} has {} groups of {} inputs, expected {} of {}", *matrix.file,
                   Quote(NameOf(".scales")), groups, matrix.k, DivideUp(matrix.k, matrix.group),
                   matrix.group);
}

// qweight [K][N/8] · qzeros [groups][N/8] · scales [groups][N]
Status ModuleReader::ReadAwq() {
  ForeignMatrix& matrix = result_.matrix;
  const ForeignScheme& scheme = format_.schemes.front();
  const Result<TensorView> words = RequireWords(".qweight", {-1, -1});
  if (!words.ok()) return words.error();
  matrix.k = words->dim(0);
  matrix.n = words->dim(1) * (kWordBits / scheme.bits);
  matrix.group = scheme.group > 0 ? scheme.group : matrix.k;
  matrix.codes = {.words = *words, .bits = scheme.bits, .interleaved = true};
  const int64_t groups = DivideUp(matrix.k, matrix.group);
  const Result<TensorView> scales = RequireScales(".scales", {groups, matrix.n});
  if (!scales.ok()) return scales.error();
  matrix.scales = *scales;
  const Result<TensorView> zeros = RequireWords(".qzeros", {groups, words->dim(1)});
  if (!zeros.ok()) return zeros.error();
  matrix.zeros = PackedCodes{.words = *zeros, .bits = scheme.bits, .interleaved = true};
  return {};
}

// N and K: the words of a row may hold more than K codes.
Result<Shape> ModuleReader::ReadWeightShape() {
  const Result<FoundTensor> found = Require(".weight_shape");
  if (!found.ok()) return found.error();
  const TensorView& view = found->view;
  const bool wide = view.dtype == DType::kI64;
  if (view.shape != Shape{2} || (!wide && view.dtype != DType::kI32)) {
    return Wrong(".weight_shape", *found, "I64 [2]");
  }
  int64_t sizes[2] = {};
  for (int i = 0; i < 2; ++i) {
    int32_t narrow = 0;
    if (wide) {
      std::memcpy(&sizes[i], view.data + i * 8, 8);
    } else {
      std::memcpy(&narrow, view.data + i * 4, 4);
      sizes[i] = narrow;
    }
  }
  if (sizes[0] >= 1 && sizes[1] >= 1) return Shape{sizes[0], sizes[1]};
  return MakeError("{}: tensor {} holds [{}, {}], expected outputs and inputs of a weight",
                   *found->file, Quote(NameOf(".weight_shape")), sizes[0], sizes[1]);
}

// The config group that a module is of. Targets are expressions over classes of another program;
// the shapes of a module's tensors say the same.
Result<ForeignScheme> ModuleReader::SchemeOf(const TensorView& codes, int64_t scales,
                                             bool has_zeros) const {
  const ForeignMatrix& matrix = result_.matrix;
  for (const ForeignScheme& scheme : format_.schemes) {
    const int64_t group = scheme.group > 0 ? scheme.group : matrix.k;
    if (codes.dim(1) == DivideUp(matrix.k * scheme.bits, kWordBits) && matrix.k % group == 0 &&
        scales == matrix.k / group && scheme.symmetric == !has_zeros) {
      return scheme;
    }
  }
  return MakeError(
      "{}: module {} has {} inputs in {} words and {} scales a row, and {}, expected what one of "
      "the {} config_groups says",
      *matrix.file, Quote(module_), matrix.k, codes.dim(1), scales,
      has_zeros ? "zero points" : "no zero points", format_.schemes.size());
}

// weight_packed [N][K/8] · weight_scale [N][groups] · weight_zero_point [N/8][groups] ·
// weight_shape [2] · weight_g_idx [K], of 4 bits.
Status ModuleReader::ReadCompressedTensors() {
  ForeignMatrix& matrix = result_.matrix;
  matrix.inputs_first = false;
  const Result<Shape> shape = ReadWeightShape();
  if (!shape.ok()) return shape.error();
  matrix.n = shape->at(0);
  matrix.k = shape->at(1);
  const Result<TensorView> words = RequireWords(".weight_packed", {matrix.n, -1});
  if (!words.ok()) return words.error();
  if (matrix.k > words->dim(1) * kWordBits) {
    return MakeError("{}: tensor {} says {} inputs, expected those of {} words", *matrix.file,
                     Quote(NameOf(".weight_shape")), matrix.k, words->dim(1));
  }
  const Result<TensorView> scales = RequireScales(".weight_scale", {matrix.n, -1});
  if (!scales.ok()) return scales.error();
  matrix.scales = *scales;
  const int64_t groups = scales->dim(1);
  const bool has_zeros = find_(NameOf(".weight_zero_point")).has_value();
  const Result<ForeignScheme> scheme = SchemeOf(*words, groups, has_zeros);
  if (!scheme.ok()) return scheme.error();
  matrix.codes = {.words = *words, .bits = scheme->bits};
  matrix.group = scheme->group > 0 ? scheme->group : matrix.k;
  if (has_zeros) {
    const Result<TensorView> zeros =
        RequireWords(".weight_zero_point", {DivideUp(matrix.n * scheme->bits, kWordBits), groups});
    if (!zeros.ok()) return zeros.error();
    matrix.zeros = PackedCodes{.words = *zeros, .bits = scheme->bits, .along_columns = false};
  }
  return ReadGroups(".weight_g_idx", groups);
}

Result<ForeignModule> ModuleReader::Read() {
  const std::optional<FoundTensor> codes = find_(NameOf(CodesSuffix(format_.method)));
  ATOM_CHECK(codes, "{} has no codes", module_);
  result_.matrix.file = codes->file;
  if (find_(NameOf(".weight"))) {
    return MakeError("{}: module {} has both {} and weight, expected one of them", *codes->file,
                     Quote(module_), CodesSuffix(format_.method).substr(1));
  }
  Status status;
  switch (format_.method) {
    case ForeignMethod::kGptq:
      status = ReadGptq();
      break;
    case ForeignMethod::kAwq:
      status = ReadAwq();
      break;
    case ForeignMethod::kCompressedTensors:
      status = ReadCompressedTensors();
      break;
  }
  if (!status.ok()) return status.error();
  result_.matrix.type = fmt::format("{} {}-bit", Name(format_.method), result_.matrix.codes.bits);
  return std::move(result_);
}

}  // namespace

std::string_view CodesSuffix(ForeignMethod method) {
  return method == ForeignMethod::kCompressedTensors ? ".weight_packed" : ".qweight";
}

Result<ForeignModule> ReadForeignModule(const ForeignFormat& format, const std::string& module,
                                        const FindStored& find) {
  return ModuleReader(format, module, find).Read();
}

}  // namespace atom::io
