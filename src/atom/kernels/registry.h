// The backends this program was built with, by name.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/kernels/backend.h"
#include "atom/quant/dense_algebra.h"

namespace atom::kernels {

struct BackendOptions {
  int threads = 0;  ///< 0: every processor this process may use
};

/// "cpu", "reference", …: the first is the default.
std::vector<std::string_view> BackendNames();
/// An Error lists the known names, or says why a known one cannot run here.
Result<std::unique_ptr<Backend>> MakeBackend(std::string_view name, const BackendOptions& options);

/// The dense algebra of quantization beside a backend: the host's, with sums of products on the GPU
/// beside "cuda".
Result<std::unique_ptr<quant::DenseAlgebra>> MakeAlgebra(const Backend& backend);

}  // namespace atom::kernels
