#include "atom/io/foreign/foreign_weights.h"

#include "atom/io/foreign/foreign_module.h"

namespace atom::io {

Result<ForeignWeights> ForeignWeights::Open(ForeignFormat format,
                                            std::span<const std::string> names,
                                            const FindStored& find) {
  ForeignWeights weights(std::move(format));
  const std::string_view suffix = CodesSuffix(weights.format_.method);
  for (const std::string& name : names) {
    if (!name.ends_with(suffix)) continue;
    const Status added = weights.Add(name.substr(0, name.size() - suffix.size()), find);
    if (!added.ok()) return added.error();
  }
  return weights;
}

Status ForeignWeights::Add(const std::string& module, const FindStored& find) {
  Result<ForeignModule> read = ReadForeignModule(format_, module, find);
  if (!read.ok()) return read.error();
  parts_.insert(read->parts.begin(), read->parts.end());
  matrices_.emplace(module + ".weight", std::move(read->matrix));
  return {};
}

std::optional<FoundTensor> ForeignWeights::Find(std::string_view name) const {
  const auto found = matrices_.find(name);
  if (found == matrices_.end()) return std::nullopt;
  const ForeignMatrix& matrix = found->second;
  FoundTensor tensor;
  tensor.owned = Dequantize(matrix);
  tensor.view.dtype = matrix.scales.dtype;
  tensor.view.shape = {matrix.n, matrix.k};
  tensor.view.data = tensor.owned.data();
  tensor.file = matrix.file;
  return tensor;
}

std::optional<StoredCodes> ForeignWeights::FindCodes(std::string_view name) const {
  const auto found = matrices_.find(name);
  if (found == matrices_.end()) return std::nullopt;
  return CodesOf(found->second);
}

}  // namespace atom::io
