// How a GGUF file spells a model's tensors: its names, and the order of rows in q and k.
#pragma once

#include "atom/core/result.h"
#include "atom/io/gguf/gguf_file.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

/// `spec` is what the file's keys say (io/gguf/gguf_config.h); all its layers have the same heads.
Result<TensorNames> GgufTensorNames(const io::GgufFile& file, const ModelSpec& spec);

}  // namespace atom::model
