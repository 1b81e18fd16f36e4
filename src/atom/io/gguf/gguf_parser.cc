// GgufFile::Parse: the bytes from front to back, each length held against what is left.
#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "atom/io/gguf/gguf_file.h"
#include "atom/io/gguf/gguf_stacks.h"
#include "atom/io/quote.h"

namespace atom::io {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF data is little-endian");

constexpr std::string_view kMagic = "GGUF";
constexpr int64_t kDefaultAlignment = 32;
constexpr uint64_t kLeastKeyBytes = 8 + 4 + 1;             // an empty name, a type, a byte
constexpr uint64_t kLeastTensorBytes = 8 + 4 + 8 + 4 + 8;  // an empty name, one dimension

std::string_view TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

// Reads fields in the file's order. A read past the end fails, and so does every one after it.
class GgufFile::Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& source) : bytes_(bytes) {
    file_.source_ = source;
    file_.bytes_ = bytes;
  }

  Result<GgufFile> Run() {
    Status status = ReadHeader();
    for (uint64_t i = 0; status.ok() && i < keys_; ++i) status = ReadKey(i);
    if (status.ok()) status = ReadAlignment();
    for (uint64_t i = 0; status.ok() && i < tensors_; ++i) status = ReadTensor(i);
    if (status.ok()) status = PlaceData();
    if (status.ok()) status = SplitStacks();
    if (!status.ok()) return status.error();
    return std::move(file_);
  }

 private:
  const std::string& source() const { return file_.source_; }
  uint64_t left() const { return bytes_.size() - at_; }

  std::optional<std::span<const std::byte>> Take(uint64_t count) {
    if (count > left()) return std::nullopt;
    const auto taken = bytes_.subspan(at_, static_cast<size_t>(count));
    at_ += static_cast<size_t>(count);
    return taken;
  }
  template <class T>
  std::optional<T> Number() {
    const auto taken = Take(sizeof(T));
    if (!taken) return std::nullopt;
    T value;
    std::memcpy(&value, taken->data(), sizeof(T));
    return value;
  }
  std::optional<std::string_view> String() {
    const auto length = Number<uint64_t>();
    const auto taken = length ? Take(*length) : std::nullopt;
    if (!taken) return std::nullopt;
    return TextOf(*taken);
  }
  Error Truncated(const std::string& what) const {
    return MakeError("{}: ends inside of {}, at byte {} of {}: the file is truncated or damaged",
                     source(), what, at_, bytes_.size());
  }

  Status ReadHeader();
  Status ReadKey(uint64_t number);
  Result<GgufValue> ReadValue(GgufType type, const std::string& where);
  Result<GgufValue> ReadArray(const std::string& where);
  Result<GgufType> ReadType(const std::string& where);
  Status ReadAlignment();
  Status ReadTensor(uint64_t number);
  Result<Shape> ReadShape(const std::string& where);
  Status PlaceData();
  Status SplitStacks();

  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  GgufFile file_;
  uint64_t tensors_ = 0;
  uint64_t keys_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  std::vector<std::pair<uint64_t, uint64_t>> extents_;  // offset and bytes, parallel to tensors_
};

Status GgufFile::Parser::ReadHeader() {
  const auto magic = Take(kMagic.size());
  if (!magic || TextOf(*magic) != kMagic) {
    return MakeError("{}: does not begin with '{}': it is no GGUF file", source(), kMagic);
  }
  const auto version = Number<uint32_t>();
  if (!version) return Truncated("the header");
  const uint32_t swapped = __builtin_bswap32(*version);
  if (swapped >= 1 && swapped <= kMostVersion) {
    return MakeError("{}: is big-endian (version {} in swapped bytes), expected little-endian",
                     source(), swapped);
  }
  if (*version < kLeastVersion || *version > kMostVersion) {
    return MakeError("{}: is GGUF of version {}, expected {} or {}", source(), *version,
                     kLeastVersion, kMostVersion);
  }
  file_.version_ = *version;
  const auto tensors = Number<uint64_t>();
  const auto keys = Number<uint64_t>();
  if (!tensors || !keys) return Truncated("the header");
  if (*keys > left() / kLeastKeyBytes) {
    return MakeError("{}: claims {} keys, but only {} bytes follow", source(), *keys, left());
  }
  if (*tensors > left() / kLeastTensorBytes) {
    return MakeError("{}: claims {} tensors, but only {} bytes follow", source(), *tensors, left());
  }
  tensors_ = *tensors;
  keys_ = *keys;
  return {};
}

Result<GgufType> GgufFile::Parser::ReadType(const std::string& where) {
  const auto type = Number<uint32_t>();
  if (!type) return Truncated(where);
  if (*type >= kGgufTypes) {
    return MakeError("{}: {} has the type {}, expected 0 to {}", source(), where, *type,
                     kGgufTypes - 1);
  }
  return static_cast<GgufType>(*type);
}

Status GgufFile::Parser::ReadKey(uint64_t number) {
  const auto name = String();
  if (!name) return Truncated(fmt::format("the name of key {}", number));
  if (name->empty() || name->size() > kMaxNameBytes) {
    return MakeError("{}: the name of key {} has {} bytes, expected 1 to {}", source(), number,
                     name->size(), kMaxNameBytes);
  }
  const std::string where = "key " + Quote(*name);
  const Result<GgufType> type = ReadType(where);
  if (!type.ok()) return type.error();
  Result<GgufValue> value = ReadValue(*type, where);
  if (!value.ok()) return value.error();
  if (!file_.keys_.emplace(*name, *std::move(value)).second) {
    return MakeError("{}: {} is there twice", source(), where);
  }
  return {};
}

Result<GgufValue> GgufFile::Parser::ReadValue(GgufType type, const std::string& where) {
  if (type == GgufType::kArray) return ReadArray(where);
  if (type == GgufType::kString) {
    const auto text = String();
    if (!text) return Truncated(where);
    return GgufValue{type, *text};
  }
  const auto bytes = Take(GgufTypeSize(type));
  if (!bytes) return Truncated(where);
  if (type == GgufType::kBool && std::to_integer<int>((*bytes)[0]) > 1) {
    return MakeError("{}: {} is the bool {}, expected 0 or 1", source(), where,
                     std::to_integer<int>((*bytes)[0]));
  }
  return ReadGgufNumber(type, bytes->data());
}

Result<GgufValue> GgufFile::Parser::ReadArray(const std::string& where) {
  const Result<GgufType> type = ReadType(where);
  if (!type.ok()) return type.error();
  const auto count = Number<uint64_t>();
  if (!count) return Truncated(where);
  if (*type == GgufType::kArray) {
    return MakeError("{}: {} is an array of arrays, expected one of numbers or strings", source(),
                     where);
  }
  const size_t least = *type == GgufType::kString ? sizeof(uint64_t) : GgufTypeSize(*type);
  if (*count > left() / least) {
    return MakeError("{}: {} claims {} elements, but only {} bytes follow", source(), where, *count,
                     left());
  }
  GgufArray array{.type = *type, .count = static_cast<size_t>(*count)};
  if (*type != GgufType::kString) {
    array.numbers = *Take(*count * least);
    return GgufValue{GgufType::kArray, std::move(array)};
  }
  array.strings.reserve(array.count);
  for (uint64_t i = 0; i < *count; ++i) {
    const auto text = String();
    if (!text) return Truncated(fmt::format("{}, string {} of {}", where, i, *count));
    array.strings.push_back(*text);
  }
  return GgufValue{GgufType::kArray, std::move(array)};
}

Status GgufFile::Parser::ReadAlignment() {
  const Result<std::optional<int64_t>> alignment = OptionalInt(file_, "general.alignment");
  if (!alignment.ok()) return alignment.error();
  const int64_t value = alignment->value_or(kDefaultAlignment);
  if (value < 1 || value > kMaxAlignment || !std::has_single_bit(static_cast<uint64_t>(value))) {
    return MakeError("{}: key 'general.alignment' is {}, expected a power of two from 1 to {}",
                     source(), value, kMaxAlignment);
  }
  alignment_ = static_cast<uint64_t>(value);
  const Result<std::optional<int64_t>> parts = OptionalInt(file_, "split.count");
  if (!parts.ok()) return parts.error();
  if (parts->value_or(1) > 1) {
    return MakeError(
        "{}: is one of {} parts of a split model, expected a model in one file: "
        "merge them first",
        source(), **parts);
  }
  return {};
}

Result<Shape> GgufFile::Parser::ReadShape(const std::string& where) {
  const auto rank = Number<uint32_t>();
  if (!rank) return Truncated(where);
  if (*rank < 1 || *rank > kMaxRank) {
    return MakeError("{}: {} has {} dimensions, expected 1 to {}", source(), where, *rank,
                     kMaxRank);
  }
  Shape shape;
  for (uint32_t i = 0; i < *rank; ++i) {
    const auto size = Number<uint64_t>();
    if (!size) return Truncated(where);
    if (*size < 1 || *size > static_cast<uint64_t>(INT64_MAX)) {
      return MakeError("{}: {} has a dimension of {}, expected 1 to 2^63 - 1", source(), where,
                       *size);
    }
    shape.push_back(static_cast<int64_t>(*size));
  }
  std::reverse(shape.begin(), shape.end());
  return shape;
}

Status GgufFile::Parser::ReadTensor(uint64_t number) {
  const auto name = String();
  if (!name) return Truncated(fmt::format("the name of tensor {}", number));
  if (name->empty() || name->size() > kMaxNameBytes) {
    return MakeError("{}: the name of tensor {} has {} bytes, expected 1 to {}", source(), number,
                     name->size(), kMaxNameBytes);
  }
  const std::string where = "tensor " + Quote(*name);
  Result<Shape> shape = ReadShape(where);
  if (!shape.ok()) return shape.error();
  const auto type_id = Number<uint32_t>();
  const auto offset = Number<uint64_t>();
  if (!type_id || !offset) return Truncated(where);
  const BlockType* type = FindBlockType(*type_id);
  if (type == nullptr) {
    return MakeError("{}: {} has the type {}, which is not known", source(), where, *type_id);
  }
  int64_t bytes = ElementCount(*shape);
  if (bytes < 0 || shape->back() % type->block_elements != 0) {
    return MakeError(
        "{}: {} has the shape {}, expected rows of whole blocks of {} and a size below "
        "2^63",
        source(), where, ShapeString(*shape), type->block_elements);
  }
  if (__builtin_mul_overflow(bytes / type->block_elements, type->block_bytes, &bytes)) {
    return MakeError("{}: {}: the size of {} {} does not fit 63 bits", source(), where, type->name,
                     ShapeString(*shape));
  }
  if (*offset % alignment_ != 0) {
    return MakeError("{}: {} begins at byte {} of the data, expected a multiple of {}", source(),
                     where, *offset, alignment_);
  }
  if (!file_.index_.emplace(*name, file_.tensors_.size()).second) {
    return MakeError("{}: {} is there twice", source(), where);
  }
  file_.tensors_.push_back({std::string(*name), type, *std::move(shape), {}});
  extents_.emplace_back(*offset, static_cast<uint64_t>(bytes));
  return {};
}

// Where the data begins is known only now. Tensors may not overlap; gaps are padding.
Status GgufFile::Parser::PlaceData() {
  const size_t padding = (alignment_ - at_ % alignment_) % alignment_;
  if (!file_.tensors_.empty() && !Take(padding)) return Truncated("the padding before the data");
  const auto data = bytes_.subspan(at_);
  std::vector<size_t> order(extents_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return extents_[a] < extents_[b]; });
  uint64_t covered = 0;
  for (const size_t i : order) {
    GgufTensor& tensor = file_.tensors_[i];
    const auto [offset, bytes] = extents_[i];
    if (offset > data.size() || bytes > data.size() - offset) {
      return MakeError(
          "{}: tensor {} of {} bytes begins at byte {} of the data, of which there are "
          "{}: the file is truncated or damaged",
          source(), Quote(tensor.name), bytes, offset, data.size());
    }
    if (offset < covered) {
      return MakeError("{}: tensor {} begins at byte {} of the data, inside of the one before",
                       source(), Quote(tensor.name), offset);
    }
    covered = offset + bytes;
    tensor.data = data.subspan(static_cast<size_t>(offset), static_cast<size_t>(bytes));
  }
  return {};
}

Status GgufFile::Parser::SplitStacks() {
  std::vector<GgufTensor> tensors;
  file_.index_.clear();
  const auto add = [&](GgufTensor tensor) -> Status {
    if (!file_.index_.emplace(tensor.name, tensors.size()).second) {
      return MakeError("{}: tensor {} is there twice, once in a stack of experts", source(),
                       Quote(tensor.name));
    }
    tensors.push_back(std::move(tensor));
    return {};
  };
  for (GgufTensor& tensor : file_.tensors_) {
    std::vector<GgufTensor> matrices = SplitStack(tensor);
    if (matrices.empty()) matrices.push_back(std::move(tensor));
    for (GgufTensor& matrix : matrices) {
      if (Status status = add(std::move(matrix)); !status.ok()) return status;
    }
  }
  file_.tensors_ = std::move(tensors);
  return {};
}

Result<GgufFile> GgufFile::Parse(std::span<const std::byte> bytes, const std::string& source_name) {
  return Parser(bytes, source_name).Run();
}

}  // namespace atom::io
