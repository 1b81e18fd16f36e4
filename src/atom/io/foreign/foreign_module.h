// One quantized module of a folder: its tensors looked up, checked and made a ForeignMatrix. Each
// complaint is one sentence with file, tensor, expected and found.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/foreign/foreign_format.h"
#include "atom/io/foreign/foreign_matrix.h"
#include "atom/io/tensor_source.h"

namespace atom::io {

struct ForeignModule {
  ForeignMatrix matrix;
  std::vector<std::string> parts;  ///< names of its tensors, the bias not among them
};

/// The tensor of a module that holds its codes: ".qweight".
std::string_view CodesSuffix(ForeignMethod method);

/// `module` is a tensor's name up to CodesSuffix, which is there.
Result<ForeignModule> ReadForeignModule(
    const ForeignFormat& format, const std::string& module,
    const std::function<std::optional<FoundTensor>(std::string_view)>& find);

}  // namespace atom::io
