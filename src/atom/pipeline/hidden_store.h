// The hidden states of all calibration tokens between two layers: [samples][rows][hidden] in fp16,
// in memory or, past a limit, in an unlinked file that is mapped. A row that fp16 cannot hold is
// divided by a power of two, which is kept beside it: some models have residual streams of a
// million in a few tokens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "atom/core/buffer.h"
#include "atom/core/half.h"
#include "atom/core/result.h"

namespace atom::pipeline {

class HiddenStore {
 public:
  /// Keeps up to `memory_limit` bytes in memory, otherwise everything in a file in `spill_folder`
  /// that disappears with the process.
  static Result<HiddenStore> Create(int64_t samples, int64_t rows, int64_t hidden,
                                    int64_t memory_limit,
                                    const std::filesystem::path& spill_folder);

  int64_t samples() const { return samples_; }
  int64_t rows() const { return rows_; }
  int64_t hidden() const { return hidden_; }
  bool spilled() const { return mapping_ != nullptr; }

  /// One sample, [rows][hidden]. What is read is fp16(x), or fp16(x / 2^e) · 2^e in a row whose
  /// largest finite value fp16 does not hold. Infinities and NaN stay.
  void Write(int64_t sample, std::span<const float> values);
  void Read(int64_t sample, std::span<float> values) const;

 private:
  struct Mapping;
  struct Unmap {
    void operator()(Mapping* mapping) const;
  };
  HiddenStore(int64_t samples, int64_t rows, int64_t hidden)
      : samples_(samples),
        rows_(rows),
        hidden_(hidden),
        exponents_(static_cast<size_t>(samples * rows)) {}
  Half* Sample(int64_t sample) const;

  int64_t samples_;
  int64_t rows_;
  int64_t hidden_;
  Buffer memory_;
  std::unique_ptr<Mapping, Unmap> mapping_;
  Half* data_ = nullptr;
  std::vector<int8_t> exponents_;  // [samples][rows]: e, 0 as a rule
};

}  // namespace atom::pipeline
