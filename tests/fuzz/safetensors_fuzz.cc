// Any bytes as a safetensors file: refused with a sentence, or every tensor lies inside the bytes.
#include <cstdint>

#include "atom/io/safetensors.h"

#include "error_sentence.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const atom::Result<atom::io::SafetensorsFile> file =
      atom::io::SafetensorsFile::Parse(bytes, "input");
  if (!file.ok()) {
    atom::fuzz::CheckSentence(file.error());
    return 0;
  }
  unsigned sum = 0;
  for (const atom::io::TensorInfo& info : file->tensors()) {
    ATOM_CHECK(file->Find(info.name) == &info, "tensor {} is not found", info.name);
    const atom::TensorView view = file->View(info);
    const int64_t length = view.bytes();
    ATOM_CHECK(length == info.end - info.begin, "{} bytes", length);
    for (int64_t i = 0; i < length; ++i) sum += static_cast<unsigned>(view.data[i]);  // for ASan
    if (atom::IsFloatWeight(info.dtype)) sum += static_cast<unsigned>(ToFloats(view).size());
  }
  volatile unsigned kept = sum;
  (void)kept;
  return 0;
}
