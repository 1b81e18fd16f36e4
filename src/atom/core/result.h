// Errors from outside (files, JSON, flags) as values. An Error is one sentence that a user can act
// on: it names the file, the tensor or field, what was expected and what was found. Bugs are not
// Errors: they are ATOM_CHECKs (check.h).
//
//   Result<Checkpoint> opened = Checkpoint::Open(dir);
//   if (!opened.ok()) return opened.error();
#pragma once

#include <fmt/core.h>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "atom/core/check.h"

namespace atom {

struct Error {
  std::string message;  ///< one sentence, no trailing newline
};

template <class... Args>
[[nodiscard]] Error MakeError(fmt::format_string<Args...> format, Args&&... args) {
  return Error{fmt::format(format, std::forward<Args>(args)...)};
}

/// Success, or the Error that prevented it.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return !error_.has_value(); }
  const Error& error() const {
    ATOM_CHECK(!ok(), "error() of a Status that is ok");
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

/// A T, or the Error that prevented it.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return std::holds_alternative<T>(state_); }
  const Error& error() const {
    ATOM_CHECK(!ok(), "error() of a Result that is ok");
    return std::get<Error>(state_);
  }

  /// REQUIRES: ok(). `std::move(result).value()` moves the value out.
  T& value() & {
    ATOM_CHECK(ok(), "value() of a failed Result: {}", error().message);
    return std::get<T>(state_);
  }
  const T& value() const& {
    ATOM_CHECK(ok(), "value() of a failed Result: {}", error().message);
    return std::get<T>(state_);
  }
  T&& value() && {
    ATOM_CHECK(ok(), "value() of a failed Result: {}", error().message);
    return std::get<T>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> state_;
};

}  // namespace atom
