#include "atom/pipeline/hidden_store.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "atom/core/check.h"

namespace atom::pipeline {
namespace {

/// The power of two by which a row is divided: 0 where fp16 holds its finite values.
int ExponentOf(std::span<const float> row) {
  float largest = 0.0f;
  for (const float value : row) {
    const float magnitude = std::abs(value);
    if (magnitude > largest && std::isfinite(magnitude)) largest = magnitude;
  }
  constexpr int kLargestExponent = 15;  // of an fp16
  // Half of the range: rounding up cannot leave it.
  return largest <= kHalfMax ? 0 : std::ilogb(largest) - (kLargestExponent - 1);
}

}  // namespace

struct HiddenStore::Mapping {
  void* data = nullptr;
  size_t bytes = 0;
};

void HiddenStore::Unmap::operator()(Mapping* mapping) const {
  if (mapping->data != nullptr) munmap(mapping->data, mapping->bytes);
  delete mapping;
}

Result<HiddenStore> HiddenStore::Create(int64_t samples, int64_t rows, int64_t hidden,
                                        int64_t memory_limit,
                                        const std::filesystem::path& spill_folder) {
  HiddenStore store(samples, rows, hidden);
  const auto bytes = static_cast<size_t>(samples * rows * hidden) * sizeof(Half);
  if (static_cast<int64_t>(bytes) <= memory_limit) {
    store.memory_ = Buffer(bytes);
    store.data_ = reinterpret_cast<Half*>(store.memory_.data());
    return store;
  }
  std::string path = (spill_folder / "atom-hidden-XXXXXX").string();
  const int file = mkstemp(path.data());
  if (file < 0) {
    return MakeError("{}: cannot create a spill file of {} bytes: {}", spill_folder.string(), bytes,
                     std::strerror(errno));
  }
  unlink(path.c_str());
  // posix_fallocate, not ftruncate: a full disk is an Error now instead of a SIGBUS later.
  const int failed = posix_fallocate(file, 0, static_cast<off_t>(bytes));
  void* data =
      failed != 0 ? MAP_FAILED : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  const int reason = failed != 0 ? failed : errno;
  close(file);
  if (data == MAP_FAILED) {
    return MakeError("{}: cannot keep {} bytes of hidden states there: {}", spill_folder.string(),
                     bytes, std::strerror(reason));
  }
  store.mapping_.reset(new Mapping{data, bytes});
  store.data_ = static_cast<Half*>(data);
  return store;
}

Half* HiddenStore::Sample(int64_t sample) const {
  ATOM_CHECK(sample >= 0 && sample < samples_, "sample {} of {}", sample, samples_);
  return data_ + sample * rows_ * hidden_;
}

void HiddenStore::Write(int64_t sample, std::span<const float> values) {
  ATOM_CHECK(static_cast<int64_t>(values.size()) == rows_ * hidden_, "{} values", values.size());
  Half* out = Sample(sample);
  const auto width = static_cast<size_t>(hidden_);
  for (int64_t row = 0; row < rows_; ++row) {
    const std::span<const float> in = values.subspan(static_cast<size_t>(row) * width, width);
    const int exponent = ExponentOf(in);
    exponents_[static_cast<size_t>(sample * rows_ + row)] = static_cast<int8_t>(exponent);
    const float factor = std::ldexp(1.0f, -exponent);
    for (size_t i = 0; i < width; ++i) out[i] = ToHalf(in[i] * factor);
    out += hidden_;
  }
}

void HiddenStore::Read(int64_t sample, std::span<float> values) const {
  ATOM_CHECK(static_cast<int64_t>(values.size()) == rows_ * hidden_, "{} values", values.size());
  const Half* in = Sample(sample);
  float* out = values.data();
  for (int64_t row = 0; row < rows_; ++row) {
    const float factor = std::ldexp(1.0f, exponents_[static_cast<size_t>(sample * rows_ + row)]);
    for (int64_t i = 0; i < hidden_; ++i) out[i] = ToFloat(in[i]) * factor;
    in += hidden_;
    out += hidden_;
  }
}

}  // namespace atom::pipeline
