#include "atom/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "atom/io/json.h"
#include "atom/io/quote.h"

namespace atom::io {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

constexpr size_t kLengthBytes = 8;  // the header's length, before the header
constexpr std::string_view kMetadataKey = "__metadata__";

// The JSON between the length and the data.
Result<std::string_view> HeaderText(std::span<const std::byte> bytes, const std::string& source) {
  if (bytes.size() < kLengthBytes) {
    return MakeError("{}: has {} bytes, expected at least {} for the header's length", source,
                     bytes.size(), kLengthBytes);
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > static_cast<uint64_t>(SafetensorsFile::kMaxHeaderBytes)) {
    return MakeError("{}: the header claims {} bytes, expected at most {}", source, length,
                     SafetensorsFile::kMaxHeaderBytes);
  }
  const uint64_t present = bytes.size() - kLengthBytes;
  if (length > present) {
    return MakeError("{}: the header claims {} bytes, found {}: the file is truncated", source,
                     length, present);
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                              static_cast<size_t>(length));
  if (text.empty() || text.front() != '{') {
    return MakeError("{}: the header of {} bytes does not begin with '{{', expected a JSON object",
                     source, length);
  }
  return text;
}

Result<SafetensorsMetadata> ReadMetadata(const Json& header, const std::string& source) {
  SafetensorsMetadata metadata;
  Result<const Json*> object = OptionalObject(header, kMetadataKey, source);
  if (!object.ok()) return object.error();
  if (*object == nullptr) return metadata;
  for (const auto& [key, value] : (*object)->items()) {
    if (!value.is_string()) {
      return MakeError("{}: {} in {} is {}, expected a string", source, Quote(key), kMetadataKey,
                       DescribeJson(value));
    }
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

// The field as a list of non-negative integers, at most `most` of them.
Result<std::vector<int64_t>> ReadCounts(const Json& entry, std::string_view field, size_t most,
                                        const std::string& where) {
  Result<const Json*> array = RequireArray(entry, field, where);
  if (!array.ok()) return array.error();
  if ((*array)->size() > most) {
    return MakeError("{}: {} has {} entries, expected at most {}", where, field, (*array)->size(),
                     most);
  }
  std::vector<int64_t> counts;
  for (const Json& value : **array) {
    const bool fits =
        value.is_number_unsigned() && value.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX);
    if (!fits) {
      return MakeError("{}: {} holds {}, expected an integer from 0 to 2^63 - 1", where, field,
                       DescribeJson(value));
    }
    counts.push_back(value.get<int64_t>());
  }
  return counts;
}

Result<TensorInfo> ReadTensorInfo(const std::string& name, const Json& entry, int64_t data_bytes,
                                  const std::string& source) {
  const std::string where = fmt::format("{}: tensor {}", source, Quote(name));
  Result<std::string> dtype = RequireString(entry, "dtype", where);
  if (!dtype.ok()) return dtype.error();
  const std::optional<DType> known = DTypeFromName(*dtype);
  if (!known) return MakeError("{}: unknown dtype {}", where, Quote(*dtype));

  Result<std::vector<int64_t>> shape = ReadCounts(entry, "shape", SafetensorsFile::kMaxRank, where);
  if (!shape.ok()) return shape.error();
  Result<std::vector<int64_t>> offsets = ReadCounts(entry, "data_offsets", 2, where);
  if (!offsets.ok()) return offsets.error();
  if (offsets->size() != 2) {
    return MakeError("{}: data_offsets has {} entries, expected 2", where, offsets->size());
  }
  const int64_t begin = (*offsets)[0];
  const int64_t end = (*offsets)[1];
  if (begin > end) {
    return MakeError("{}: data_offsets [{}, {}] are reversed", where, begin, end);
  }
  if (end > data_bytes) {
    return MakeError("{}: data_offsets [{}, {}] end past the {} bytes of data", where, begin, end,
                     data_bytes);
  }
  int64_t bytes = ElementCount(*shape);
  if (bytes < 0 || __builtin_mul_overflow(bytes, DTypeSize(*known), &bytes)) {
    return MakeError("{}: the size of shape {} does not fit 63 bits", where, ShapeString(*shape));
  }
  if (end - begin != bytes) {
    return MakeError("{}: {} {} needs {} bytes, but data_offsets [{}, {}] span {}", where, *dtype,
                     ShapeString(*shape), bytes, begin, end, end - begin);
  }
  return TensorInfo{name, *known, *std::move(shape), begin, end};
}

// `tensors` sorted by offset must cover [0, data_bytes) exactly.
Status CheckCoverage(const std::vector<TensorInfo>& tensors, int64_t data_bytes,
                     const std::string& source) {
  int64_t covered = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.begin != covered) {
      return MakeError("{}: tensor {} begins at byte {} of the data, expected {}: {}", source,
                       Quote(tensor.name), tensor.begin, covered,
                       tensor.begin < covered ? "it overlaps the one before" : "there is a gap");
    }
    covered = tensor.end;
  }
  if (covered != data_bytes) {
    return MakeError("{}: {} bytes of data, expected {}: there are bytes after the last tensor",
                     source, data_bytes, covered);
  }
  return {};
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::Open(const std::filesystem::path& path) {
  Result<MappedFile> mapped = MappedFile::Open(path);
  if (!mapped.ok()) return mapped.error();
  Result<SafetensorsFile> parsed = Parse(mapped->bytes(), path.string());
  if (parsed.ok()) parsed->file_ = *std::move(mapped);
  return parsed;
}

Result<SafetensorsFile> SafetensorsFile::Parse(std::span<const std::byte> bytes,
                                               const std::string& source_name) {
  Result<std::string_view> text = HeaderText(bytes, source_name);
  if (!text.ok()) return text.error();
  Result<Json> header = ParseJson(*text, source_name + ": header");
  if (!header.ok()) return header.error();
  Result<SafetensorsMetadata> metadata = ReadMetadata(*header, source_name);
  if (!metadata.ok()) return metadata.error();

  SafetensorsFile file;
  file.source_ = source_name;
  file.bytes_ = bytes;
  file.data_ = bytes.subspan(kLengthBytes + text->size());
  file.metadata_ = *std::move(metadata);
  const auto data_bytes = static_cast<int64_t>(file.data_.size());
  for (const auto& [name, entry] : header->items()) {
    if (name == kMetadataKey) continue;
    Result<TensorInfo> info = ReadTensorInfo(name, entry, data_bytes, source_name);
    if (!info.ok()) return info.error();
    file.tensors_.push_back(*std::move(info));
  }
  std::sort(file.tensors_.begin(), file.tensors_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  if (Status status = CheckCoverage(file.tensors_, data_bytes, source_name); !status.ok()) {
    return status.error();
  }
  for (size_t i = 0; i < file.tensors_.size(); ++i) file.index_[file.tensors_[i].name] = i;
  return file;
}

const TensorInfo* SafetensorsFile::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

TensorView SafetensorsFile::View(const TensorInfo& info) const {
  return {info.dtype, info.shape, data_.data() + info.begin};
}

void SafetensorsFile::ReadAhead(std::span<const std::byte> part) const {
  if (file_) file_->ReadAhead(part);
}

void SafetensorsFile::ReleasePages(std::span<const std::byte> part) const {
  if (file_) file_->ReleasePages(part);
}

Status SafetensorsFile::CheckUnchanged() const {
  return file_ ? file_->CheckUnchanged() : Status();
}

}  // namespace atom::io
