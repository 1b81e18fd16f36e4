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

  int64_t bytes() const { return bytes_; }

 private:
  friend class BodyBudget;

  BodyBudget* budget_ = nullptr;
  int64_t bytes_ = 0;
};

class BodyBudget {
 public:
  explicit BodyBudget(int64_t bytes) : left_(bytes) {}

  /// Makes `room` one of `bytes`, unless that much is not left. One thread takes.
  bool Enlarge(BodyRoom& room, int64_t bytes) {
    const int64_t more = bytes - room.bytes_;
    if (left_ < more) return false;
    left_ -= more;
    room.budget_ = this;
    room.bytes_ = bytes;
    return true;
  }

 private:
  friend class BodyRoom;
  std::atomic<int64_t> left_;
};

inline BodyRoom::~BodyRoom() {
  if (budget_ != nullptr) budget_->left_ += bytes_;
}

}  // namespace atom::server
