#include "atom/io/checksum.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/core.h>
#include <new>
#include <unistd.h>
#include <vector>
#include <xxhash.h>

#include "atom/core/check.h"
#include "atom/io/descriptor.h"

namespace atom::io {
namespace {

std::string Hex128(XXH128_hash_t hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

void Checksum::Free::operator()(XXH3_state_s* state) const { XXH3_freeState(state); }

Checksum::Checksum() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH3_128bits_reset(state_.get());
}

void Checksum::Update(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
}
void Checksum::Update(std::string_view text) { Update(std::as_bytes(std::span(text))); }

std::string Checksum::Hex() const { return Hex128(XXH3_128bits_digest(state_.get())); }

std::string ChecksumOf(std::span<const std::byte> bytes) {
  return Hex128(XXH3_128bits(bytes.data(), bytes.size()));
}
std::string ChecksumOf(std::string_view text) { return ChecksumOf(std::as_bytes(std::span(text))); }

Result<std::string> ChecksumOfFile(const std::filesystem::path& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    return MakeError("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  }
  Checksum checksum;
  std::vector<std::byte> chunk(size_t{1} << 20);
  while (true) {
    const ssize_t got = read(file.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return MakeError("{}: cannot be read: {}", path.string(), std::strerror(errno));
    if (got == 0) return checksum.Hex();
    checksum.Update(std::span(chunk).first(static_cast<size_t>(got)));
  }
}

}  // namespace atom::io
