// A cache's storage and head size become constants of the kernels that read it.
#pragma once

#include <type_traits>

#include "atom/quant/formats.h"

namespace atom::kernels::cuda {

/// launch(std::integral_constant of the storage). REQUIRES: kInt4, kInt8 or kF16.
template <class Launch>
auto WithStorage(quant::KvStorage storage, const Launch& launch) {
  using quant::KvStorage;
  switch (storage) {
    case KvStorage::kInt4:
      return launch(std::integral_constant<KvStorage, KvStorage::kInt4>{});
    case KvStorage::kInt8:
      return launch(std::integral_constant<KvStorage, KvStorage::kInt8>{});
    default:
      return launch(std::integral_constant<KvStorage, KvStorage::kF16>{});
  }
}

/// launch(std::integral_constant of the head size). REQUIRES: 64, 80, 96, 128 or 256.
template <class Launch>
auto WithHeadDim(int head_dim, const Launch& launch) {
  switch (head_dim) {
    case 64:
      return launch(std::integral_constant<int, 64>{});
    case 80:
      return launch(std::integral_constant<int, 80>{});
    case 96:
      return launch(std::integral_constant<int, 96>{});
    case 128:
      return launch(std::integral_constant<int, 128>{});
    default:
      return launch(std::integral_constant<int, 256>{});
  }
}

}  // namespace atom::kernels::cuda
