// A line of JSON and any bytes as a quantization_config and a safetensors file of another program:
// refused with a sentence, or every weight is dequantized.
#include <cstdint>
#include <nlohmann/json.hpp>

#include "atom/io/foreign/foreign_weights.h"
#include "atom/io/safetensors.h"

#include "error_sentence.h"

namespace {

using atom::io::ForeignFormat;
using atom::io::ForeignWeights;
using atom::io::FoundTensor;
using atom::io::Json;
using atom::io::SafetensorsFile;
using atom::io::TensorInfo;

void FuzzTensors(const ForeignFormat& format, const SafetensorsFile& file) {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : file.tensors()) names.push_back(tensor.name);
  const auto find = [&](std::string_view name) -> std::optional<FoundTensor> {
    const TensorInfo* tensor = file.Find(name);
    if (tensor == nullptr) return std::nullopt;
    return FoundTensor{file.View(*tensor), {}, &file.source()};
  };
  const atom::Result<ForeignWeights> weights = ForeignWeights::Open(format, names, find);
  if (!weights.ok()) return atom::fuzz::CheckSentence(weights.error());
  for (const auto& [name, matrix] : weights->matrices()) {
    const std::optional<FoundTensor> found = weights->Find(name);
    ATOM_CHECK(found && found->view.elements() == matrix.n * matrix.k, "elements of {}", name);
    ATOM_CHECK(std::ssize(ToFloats(found->view)) == matrix.n * matrix.k, "values of {}", name);
    const std::optional<atom::io::StoredCodes> codes = weights->FindCodes(name);
    ATOM_CHECK(codes && std::ssize(codes->codes) == matrix.n * matrix.k, "codes of {}", name);
    ATOM_CHECK(codes->groups_of.empty() || std::ssize(codes->groups_of) == matrix.k, "{}", name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t line = input.find('\n');
  if (line == std::string_view::npos) return 0;
  const atom::Result<Json> block = atom::io::ParseJson(input.substr(0, line), "input");
  if (!block.ok()) return 0;
  const auto format = atom::io::ReadForeignFormat({{"quantization_config", *block}}, "input");
  if (!format.ok()) {
    atom::fuzz::CheckSentence(format.error());
    return 0;
  }
  if (!format->has_value()) return 0;
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(line + 1);
  const atom::Result<SafetensorsFile> file = SafetensorsFile::Parse(bytes, "input");
  if (file.ok()) FuzzTensors(**format, *file);
  return 0;
}
