#include "atom/kernels/cuda/bench/row_share.h"

namespace atom::kernels::cuda {

double CeilingOf(const CudaCard& card, std::string_view name) {
  for (const auto& [known, rate] : card.ceilings) {
    if (known == name) return rate;
  }
  return 0;
}

void FillShare(const CudaCard& card, std::string_view multiply, CudaBenchRow& row) {
  const double read = CeilingOf(card, kDramCeiling), products = CeilingOf(card, multiply);
  const double read_seconds = read > 0 ? row.bytes / read : 0;
  const double product_seconds = products > 0 ? row.operations / products : 0;
  const bool bound_by_memory = read_seconds >= product_seconds;
  row.ceiling = bound_by_memory ? kDramCeiling : multiply;
  const double floor = bound_by_memory ? read_seconds : product_seconds;
  row.share = row.timing.us() > 0 ? floor * 1e6 / row.timing.us() : 0;
}

}  // namespace atom::kernels::cuda
