#include "atom/bench/serving/serving_memory.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "atom/model/kv_cache.h"

namespace atom::bench {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;

}  // namespace

// Each exact page lies beside a page.
int64_t ServingMemory::ExactPagesFor(int64_t sequences, int64_t pages) const {
  if (exact_pages_of_sequence == 0) return 0;
  return std::min(pages, sequences * exact_pages_of_sequence + exact_pages_of_step);
}

ServingPages ServingMemory::Reserved(int64_t slots, int64_t slot_pages) const {
  const int64_t pages = slots * slot_pages;
  return {.pages = pages, .exact_pages = ExactPagesFor(slots, pages)};
}

int64_t ServingMemory::SlotsWithin(int64_t budget, int64_t slot_pages) const {
  const int64_t slot = slot_pages * page_bytes;
  int64_t slots = std::max<int64_t>(budget - Total({}), 0) / slot;
  while (slots > 0 && Total(Reserved(slots, slot_pages)) > budget) --slots;
  return slots;
}

ServingPages ServingMemory::OnDemand(int64_t budget, double mean_pages, int64_t sequences) const {
  const auto pages_of = [&](int64_t pages) {
    const auto held = static_cast<int64_t>(std::ceil(static_cast<double>(pages) / mean_pages));
    return ServingPages{.pages = pages,
                        .exact_pages = ExactPagesFor(std::min(held, sequences), pages)};
  };
  int64_t fit = 0;
  int64_t too_many = std::max<int64_t>(budget - Total({}), 0) / page_bytes + 1;
  while (too_many - fit > 1) {
    const int64_t middle = fit + (too_many - fit) / 2;
    (Total(pages_of(middle)) <= budget ? fit : too_many) = middle;
  }
  return pages_of(fit);
}

ServingMemory MemoryOf(const TimedModel& model, int64_t step_tokens) {
  const model::Transformer& transformer = *model.transformer;
  const kernels::Backend& backend = transformer.backend();
  const std::vector<kernels::KvShape> shapes = transformer.KvShapes();
  ServingMemory memory = {
      .weights = model.cost.linear_bytes + model.cost.expert_bytes + 2 * model.cost.head_bytes,
      .scratch = transformer.StepBytes(),
      .page_bytes = model::KvPageBytes(backend, shapes)};
  if (const auto room = backend.Room()) memory.reserve = room->reserve;
  const int64_t window = model::ExactWindowOf(shapes);
  if (window == 0) return memory;
  const int64_t positions = backend.kv_page_positions();
  memory.exact_page_bytes = model::ExactPageBytes(backend, shapes);
  // The window's, the page that is being filled and the next; one that admission keeps free.
  memory.exact_pages_of_sequence = kernels::PagesFor(window, positions) + 3;
  memory.exact_pages_of_step = kernels::PagesFor(step_tokens, positions);
  return memory;
}

std::string GibText(int64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / kGib);
}

}  // namespace atom::bench
