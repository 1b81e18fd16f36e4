#include "atom/io/gguf/gguf_source.h"

#include "atom/io/gguf/block_codes.h"

namespace atom::io {

std::optional<FoundTensor> GgufSource::Find(std::string_view tensor) const {
  const GgufTensor* found = file_.FindTensor(tensor);
  if (found == nullptr) return std::nullopt;
  const BlockType& type = *found->type;
  ATOM_CHECK(type.readable(), "tensor {} is {}", tensor, type.name);
  FoundTensor result{.view = {type.read_dtype(), found->shape, found->data.data()},
                     .owned = {},
                     .file = &file_.source(),
                     .runs_as = RunsAs(type)};
  if (type.dequantize == nullptr) return result;
  result.owned = Buffer(static_cast<size_t>(result.view.bytes()));
  Dequantize(type, found->data, result.owned.As<float>());
  result.view.data = result.owned.data();
  return result;
}

std::optional<StoredCodes> GgufSource::FindCodes(std::string_view tensor) const {
  const GgufTensor* found = file_.FindTensor(tensor);
  if (found == nullptr || found->shape.size() != 2 || !HasCodes(*found->type)) return std::nullopt;
  StoredCodes codes = CodesOf(*found);
  codes.file = &file_.source();
  return codes;
}

}  // namespace atom::io
