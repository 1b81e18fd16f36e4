#include "atom/artifact/checksum_verifier.h"

#include <algorithm>

#include "atom/artifact/layer_tensors.h"
#include "atom/artifact/shard_index.h"
#include "atom/io/checksum.h"
#include "atom/io/quote.h"

namespace atom::artifact {
namespace {

/// Read at once: between two pieces it can be stopped, and their pages go back to the system.
constexpr size_t kPiece = size_t{4} << 20;

}  // namespace

ChecksumVerifier::ChecksumVerifier(const io::Checkpoint& checkpoint, int threads)
    : shards_(checkpoint.shards()) {
  started_ = Start(checkpoint, threads);
}

ChecksumVerifier::~ChecksumVerifier() { stopping_ = true; }

Status ChecksumVerifier::Start(const io::Checkpoint& checkpoint, int threads) {
  const Result<ShardChecksums> checksums = ReadIndexChecksums(checkpoint.dir());
  if (!checksums.ok()) return checksums.error();
  if (checksums->empty()) return {};
  for (const io::SafetensorsFile& shard : shards_) {
    const auto found = checksums->find(std::filesystem::path(shard.source()).filename().string());
    if (found == checksums->end()) {
      return MakeError("{}: has no checksum in {}, expected one for each shard", shard.source(),
                       kIndexFile);
    }
    expected_.push_back(found->second);
  }
  verdicts_.resize(shards_.size());
  const size_t count = std::min(shards_.size(), static_cast<size_t>(std::max(threads, 1)));
  for (size_t i = 0; i < count; ++i) threads_.emplace_back([this] { Run(); });
  return {};
}

void ChecksumVerifier::Run() {
  for (size_t shard = next_++; shard < shards_.size(); shard = next_++) Verify(shard);
}

void ChecksumVerifier::Verify(size_t index) {
  const io::SafetensorsFile& shard = shards_[index];
  io::Checksum checksum;
  for (size_t begin = 0; begin < shard.bytes().size(); begin += kPiece) {
    if (stopping_) return;
    const auto piece = shard.bytes().subspan(begin, std::min(kPiece, shard.bytes().size() - begin));
    checksum.Update(piece);
    shard.ReleasePages(piece);
  }
  const std::string found = checksum.Hex();
  if (found == expected_[index]) return;
  verdicts_[index] =
      MakeError("{}: has the checksum {}, expected {}: the file is damaged or was exchanged",
                shard.source(), found, io::Quote(expected_[index]));
}

Status ChecksumVerifier::Finish() {
  threads_.clear();  // joins
  if (!started_.ok()) return started_;
  const auto bad = std::find_if(verdicts_.begin(), verdicts_.end(),
                                [](const Status& verdict) { return !verdict.ok(); });
  return bad == verdicts_.end() ? Status() : *bad;
}

}  // namespace atom::artifact
