#include "atom/bench/serving/serving_memory.h"

#include <algorithm>
#include <fmt/format.h>

namespace atom::bench {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;

}  // namespace

int64_t ServingMemory::PagesWithin(int64_t budget) const {
  return std::max<int64_t>(budget - weights - scratch, 0) / page_bytes;
}

ServingMemory MemoryOf(const RandomModel& model) {
  return {.weights = model.cost.linear_bytes + 2 * model.cost.head_bytes,
          .scratch = model.transformer->StepBytes(),
          .page_bytes =
              model::KvPageBytes(model.transformer->backend(), model.transformer->KvShapes())};
}

std::string GibText(int64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / kGib);
}

}  // namespace atom::bench
