// Any bytes as a GGUF file: refused with a sentence, or every tensor lies inside the bytes and can
// be read, and its keys give the files of a folder or a sentence.
#include <cstdint>
#include <nlohmann/json.hpp>

#include "atom/io/gguf/gguf_config.h"
#include "atom/io/gguf/gguf_source.h"
#include "atom/io/gguf/gguf_tokenizer.h"
#include "atom/io/stored_codes.h"

#include "error_sentence.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const atom::Result<atom::io::GgufFile> file = atom::io::GgufFile::Parse(bytes, "input");
  if (!file.ok()) {
    atom::fuzz::CheckSentence(file.error());
    return 0;
  }
  for (const auto translate :
       {atom::io::GgufConfig, atom::io::GgufTokenizerJson, atom::io::GgufTokenizerConfig}) {
    const atom::Result<atom::io::Json> json = translate(*file);
    if (!json.ok()) atom::fuzz::CheckSentence(json.error());
  }
  unsigned sum = 0;
  const atom::io::GgufSource source(*file);
  for (const atom::io::GgufTensor& tensor : file->tensors()) {
    ATOM_CHECK(file->FindTensor(tensor.name) == &tensor, "tensor {} is not found", tensor.name);
    for (const std::byte byte : tensor.data) sum += static_cast<unsigned>(byte);  // for ASan
    if (!tensor.type->readable()) continue;
    const auto found = source.Find(tensor.name);
    ATOM_CHECK(found && found->view.elements() == atom::ElementCount(tensor.shape), "elements");
    sum += static_cast<unsigned>(ToFloats(found->view).size());
    const std::optional<atom::io::StoredCodes> codes = source.FindCodes(tensor.name);
    ATOM_CHECK(!codes || std::ssize(codes->codes) == found->view.elements(), "codes");
  }
  volatile unsigned kept = sum;
  (void)kept;
  return 0;
}
