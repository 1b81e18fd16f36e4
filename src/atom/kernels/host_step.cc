#include "atom/kernels/host_step.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::kernels {

int64_t HostStep::Bytes(const BatchLimits& limits) {
  return (StepArena(limits).size() + limits.sequences) * static_cast<int64_t>(sizeof(int32_t));
}

void HostStep::Reserve(const BatchLimits& limits) {
  arena_ = StepArena(BatchLimits::Most(arena_.limits(), limits));
  memory_.resize(static_cast<size_t>(arena_.size()));
  token_slots_.resize(static_cast<size_t>(arena_.limits().sequences), 0);
  begun_ = false;
}

void HostStep::Begin(const Batch& batch) {
  const BatchLimits& room = arena_.limits();
  const BatchLimits needed = {.rows = batch.rows(),
                              .sequences = batch.sequences(),
                              .pages = std::ssize(batch.pages),
                              .exact_pages = std::ssize(batch.exact_pages)};
  // Ops that are called by themselves, without a model that prepared for them.
  if (needed.rows > room.rows || needed.sequences > room.sequences || needed.pages > room.pages ||
      needed.exact_pages > room.exact_pages) {
    Reserve(needed);
  }
  arena_.Pack(batch, batch.rows(), memory_);
  view_ = arena_.View(batch, batch.rows(), memory_.data());
  begun_ = true;
}

const StepView& HostStep::view() const {
  ATOM_CHECK(begun_, "no step has begun");
  return view_;
}

int32_t HostStep::TokenOf(int64_t row) const {
  const int32_t token = view().tokens[static_cast<size_t>(row)];
  if (!IsTokenSlot(token)) return token;
  const auto slot = static_cast<size_t>(SlotOfToken(token));
  ATOM_CHECK(slot < token_slots_.size(), "token slot {} of {}", slot, token_slots_.size());
  return token_slots_[slot];
}

void HostStep::KeepToken(int32_t slot, int32_t token) {
  if (slot < 0) return;
  ATOM_CHECK(static_cast<size_t>(slot) < token_slots_.size(), "token slot {} of {}", slot,
             token_slots_.size());
  token_slots_[static_cast<size_t>(slot)] = token;
}

}  // namespace atom::kernels
