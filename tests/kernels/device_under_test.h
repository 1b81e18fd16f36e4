// What every kernel test runs on: each backend of the registry that this machine can run, the cpu
// backend once for each instruction set; and access to its memory from the host.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "atom/core/cpu_info.h"
#include "atom/core/rng.h"
#include "atom/kernels/backend.h"
#include "atom/kernels/registry.h"

namespace atom::kernels {

inline constexpr double kUnitRoundoff = 0x1p-24;  // of fp32: u in docs/numerics.md, section 6

struct BackendCase {
  std::string backend;
  std::string isa;  ///< pinned through ATOM_CPU_ISA; empty: the backend's own choice
};

/// These agree bit for bit (docs/numerics.md, section 1); others only within bounds.
inline bool SharesEveryRounding(const BackendCase& which) {
  return which.backend == "cpu" || which.backend == "reference";
}

inline std::string CaseName(const BackendCase& which) {
  std::string name = which.isa.empty() ? which.backend : which.backend + "_" + which.isa;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
inline void PrintTo(const BackendCase& which, std::ostream* out) { *out << CaseName(which); }

inline Result<std::unique_ptr<Backend>> MakeBackendCase(const BackendCase& which, int threads) {
  if (!which.isa.empty()) setenv("ATOM_CPU_ISA", which.isa.c_str(), 1);
  Result<std::unique_ptr<Backend>> made = MakeBackend(which.backend, BackendOptions{threads});
  if (!which.isa.empty()) unsetenv("ATOM_CPU_ISA");
  return made;
}

inline std::vector<BackendCase> BackendsUnderTest() {
  std::vector<BackendCase> cases;
  for (const std::string_view name : BackendNames()) {
    if (name == "cpu") {
      for (const CpuIsa isa : AllCpuIsas()) {
        if (Supports(isa)) cases.push_back({"cpu", std::string(CpuIsaName(isa))});
      }
    } else if (name != "cuda") {
      // It takes fewer shapes: tests/kernels/cuda holds it to the reference.
      cases.push_back({std::string(name), ""});
    }
  }
  std::erase_if(cases, [](const BackendCase& which) { return !MakeBackendCase(which, 1).ok(); });
  return cases;
}

inline std::string BackendCaseName(const testing::TestParamInfo<BackendCase>& info) {
  return CaseName(info.param);
}

/// A backend and its memory.
class Device {
 public:
  explicit Device(const BackendCase& which, int threads = 2) {
    Result<std::unique_ptr<Backend>> made = MakeBackendCase(which, threads);
    ATOM_CHECK(made.ok(), "{}", made.error().message);
    backend_ = std::move(made).value();
    ATOM_CHECK(backend_->hidden_dtype() == DType::kF32, "these tests speak fp32");
    backend_->Prepare({.batch = {.rows = 4096, .sequences = 64, .pages = 16384},
                       .attention = {},
                       .linears = {},
                       .vocabulary = 4096});
  }

  Backend* operator->() { return backend_.get(); }

  template <class T>
  DeviceBuffer Put(const std::vector<T>& values) {
    DeviceBuffer buffer = backend_->Allocate(values.size() * sizeof(T));
    backend_->Upload(std::as_bytes(std::span(values)), buffer.data());
    return buffer;
  }
  template <class T>
  std::vector<T> Get(const DeviceBuffer& buffer) {
    std::vector<T> values(buffer.bytes() / sizeof(T));
    backend_->Sync();
    backend_->Download(buffer.data(), std::as_writable_bytes(std::span(values)));
    return values;
  }

 private:
  std::unique_ptr<Backend> backend_;
};

/// A rows x cols fp32 matrix on a device, in the middle of a wider and longer one whose other
/// elements hold a mark, so that a write out of bounds shows.
class Canvas {
 public:
  static constexpr float kMark = 12345.5f;
  static constexpr int64_t kLeft = 5;  // odd, so that no row is aligned
  static constexpr int64_t kRight = 6;
  static constexpr int64_t kBelow = 2;

  Canvas(Device& device, int64_t rows, int64_t cols) : Canvas(device, rows, cols, {}) {}
  /// values is [rows][cols], or empty: all marks.
  Canvas(Device& device, int64_t rows, int64_t cols, const std::vector<float>& values)
      : device_(device), rows_(rows), cols_(cols), stride_(kLeft + cols + kRight) {
    std::vector<float> all(static_cast<size_t>((rows + kBelow) * stride_), kMark);
    for (size_t i = 0; i < values.size(); ++i) all[Index(static_cast<int64_t>(i))] = values[i];
    buffer_ = device.Put(all);
  }

  DeviceTensor Tensor() { return Rows(0, rows_); }
  DeviceTensor Rows(int64_t first, int64_t count) {
    float* data = static_cast<float*>(buffer_.data()) + first * stride_ + kLeft;
    return {data, count, cols_, stride_, DType::kF32};
  }
  /// The values; fails the test when a mark outside of the matrix was overwritten.
  std::vector<float> Values() {
    std::vector<float> all = device_.Get<float>(buffer_);
    std::vector<float> values(static_cast<size_t>(rows_ * cols_));
    for (size_t i = 0; i < values.size(); ++i) {
      float& value = all[Index(static_cast<int64_t>(i))];
      values[i] = value;
      value = kMark;
    }
    EXPECT_EQ(std::count(all.begin(), all.end(), kMark), static_cast<int64_t>(all.size()))
        << "a write outside of the matrix";
    return values;
  }

 private:
  size_t Index(int64_t i) const {
    return static_cast<size_t>(i / cols_ * stride_ + kLeft + i % cols_);
  }

  Device& device_;
  int64_t rows_;
  int64_t cols_;
  int64_t stride_;
  DeviceBuffer buffer_;
};

inline std::vector<float> RandomNormal(Rng& rng, int64_t count, double sigma = 1.0) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(sigma * rng.Normal());
  return values;
}

inline std::vector<int32_t> RandomPermutation(Rng& rng, int64_t count) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t j = rng.Below(i + 1);
    order[static_cast<size_t>(i)] = order[static_cast<size_t>(j)];
    order[static_cast<size_t>(j)] = static_cast<int32_t>(i);
  }
  return order;
}

/// Bit for bit, NaNs and signs of zero included.
inline bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * 4) == 0);
}

}  // namespace atom::kernels
