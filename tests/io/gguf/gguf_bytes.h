// Spells GGUF files by hand, right ones and wrong ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace atom::io {

template <class T>
std::string NumberBytes(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

inline std::string StringBytes(std::string_view text) {
  return NumberBytes<uint64_t>(text.size()).append(text);
}

/// A key with its value's bytes; `type` as in the file.
inline std::string KeyBytes(std::string_view name, uint32_t type, std::string_view value) {
  return StringBytes(name) + NumberBytes(type) + std::string(value);
}
inline std::string KeyBytes(std::string_view name, uint32_t value) {
  return KeyBytes(name, 4, NumberBytes(value));
}
inline std::string KeyBytes(std::string_view name, float value) {
  return KeyBytes(name, 6, NumberBytes(value));
}
inline std::string KeyBytes(std::string_view name, bool value) {
  return KeyBytes(name, 7, NumberBytes<uint8_t>(value ? 1 : 0));
}
inline std::string KeyBytes(std::string_view name, std::string_view value) {
  return KeyBytes(name, 8, StringBytes(value));
}
inline std::string KeyBytes(std::string_view name, const char* value) {
  return KeyBytes(name, std::string_view(value));
}
inline std::string KeyBytes(std::string_view name, const std::vector<std::string>& strings) {
  std::string value = NumberBytes<uint32_t>(8) + NumberBytes<uint64_t>(strings.size());
  for (const std::string& text : strings) value += StringBytes(text);
  return KeyBytes(name, 9, value);
}
inline std::string KeyBytes(std::string_view name, const std::vector<int32_t>& numbers) {
  std::string value = NumberBytes<uint32_t>(5) + NumberBytes<uint64_t>(numbers.size());
  for (const int32_t number : numbers) value += NumberBytes(number);
  return KeyBytes(name, 9, value);
}

/// `sizes` innermost first, as in the file; type 0 is F32.
inline std::string TensorBytes(std::string_view name, const std::vector<uint64_t>& sizes,
                               uint32_t type, uint64_t offset) {
  std::string bytes = StringBytes(name) + NumberBytes(static_cast<uint32_t>(sizes.size()));
  for (const uint64_t size : sizes) bytes += NumberBytes(size);
  return bytes + NumberBytes(type) + NumberBytes(offset);
}

struct GgufBytes {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<std::string> keys = {};
  std::vector<std::string> tensors = {};
  std::string data = {};
  size_t alignment = 32;

  std::string Header(uint64_t tensor_count, uint64_t key_count) const {
    return magic + NumberBytes(version) + NumberBytes(tensor_count) + NumberBytes(key_count);
  }
  std::string Bytes() const {
    std::string bytes = Header(tensors.size(), keys.size());
    for (const std::string& key : keys) bytes += key;
    for (const std::string& tensor : tensors) bytes += tensor;
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    return bytes + data;
  }
};

}  // namespace atom::io
