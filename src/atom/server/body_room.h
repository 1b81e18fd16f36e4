// How many bytes all requests' bodies may take at once, and each one's share.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace atom::server {

class BodyBudget;

/// Some bytes of a budget, given back when this goes. Any thread may hold it.
class BodyRoom {
 public:
  BodyRoom() = default;
  BodyRoom(BodyRoom&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  BodyRoom& operator=(BodyRoom&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~BodyRoom();

 private:
  friend class BodyBudget;
  BodyRoom(BodyBudget* budget, int64_t bytes) : budget_(budget), bytes_(bytes) {}

  BodyBudget* budget_ = nullptr;
  int64_t bytes_ = 0;
};

class BodyBudget {
 public:
  explicit BodyBudget(int64_t bytes) : left_(bytes) {}

  bool HasRoom(int64_t bytes) const { return left_ >= bytes; }
  /// REQUIRES: HasRoom(bytes); one thread takes.
  BodyRoom Take(int64_t bytes) {
    left_ -= bytes;
    return {this, bytes};
  }

 private:
  friend class BodyRoom;
  std::atomic<int64_t> left_;
};

inline BodyRoom::~BodyRoom() {
  if (budget_ != nullptr) budget_->left_ += bytes_;
}

}  // namespace atom::server
