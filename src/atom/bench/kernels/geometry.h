// Shapes of models by name, for benchmarks that need no checkpoint.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/model/spec/model_spec.h"

namespace atom::bench {

struct Geometry {
  std::string name;
  model::ModelSpec spec;
};

std::vector<std::string> GeometryNames();  ///< "llama-7b", …
/// A known name, or the path of a config.json or of the folder that holds one.
Result<Geometry> FindGeometry(const std::string& name_or_path);

}  // namespace atom::bench
