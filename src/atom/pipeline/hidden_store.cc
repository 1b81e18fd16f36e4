#include "atom/pipeline/hidden_store.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "atom/core/check.h"

namespace atom::pipeline {

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
  for (size_t i = 0; i < values.size(); ++i) {
    out[i] = ToHalf(std::clamp(values[i], -kHalfMax, kHalfMax));
  }
}

void HiddenStore::Read(int64_t sample, std::span<float> values) const {
  ATOM_CHECK(static_cast<int64_t>(values.size()) == rows_ * hidden_, "{} values", values.size());
  const Half* in = Sample(sample);
  for (size_t i = 0; i < values.size(); ++i) values[i] = ToFloat(in[i]);
}

}  // namespace atom::pipeline
