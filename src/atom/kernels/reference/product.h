// One output of a linear, without its bias: docs/numerics.md, section 3.
#pragma once

#include <cstdint>

#include "atom/kernels/reference/reference_storage.h"

namespace atom::kernels::reference {

/// x[m] · w[n]
using Product = float (*)(const ReferenceActivation& x, int64_t m, const ReferenceWeight& w,
                          int64_t n);
/// By the formats of both, which must fit each other.
Product ChooseProduct(const ReferenceActivation& x, const ReferenceWeight& w);

}  // namespace atom::kernels::reference
