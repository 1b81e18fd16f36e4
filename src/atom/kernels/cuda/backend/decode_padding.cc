#include "atom/kernels/cuda/backend/decode_padding.h"

namespace atom::kernels::cuda {

BatchLimits WithPadding(const BatchLimits& limits) {
  BatchLimits padded = limits;
  padded.rows = RowBucketOf(limits.rows);
  padded.sequences = RowBucketOf(limits.sequences);
  const int64_t more = padded.sequences - limits.sequences;
  padded.pages += more;
  if (limits.exact_pages > 0) padded.exact_pages += more;
  return padded;
}

void PadDecodeStep(Batch& batch) {
  const auto sequences = static_cast<size_t>(RowBucketOf(batch.sequences()));
  while (batch.kv_lengths.size() < sequences) {
    batch.kv_lengths.push_back(1);
    batch.query_starts.push_back(batch.query_starts.back() + 1);
    batch.pages.push_back(batch.pages.front());
    batch.page_starts.push_back(static_cast<int32_t>(batch.pages.size()));
    if (batch.exact_pages.empty()) continue;
    batch.exact_pages.push_back(batch.exact_pages.front());
    batch.exact_starts.push_back(static_cast<int32_t>(batch.exact_pages.size()));
  }
  batch.logit_rows.resize(
      static_cast<size_t>(RowBucketOf(static_cast<int64_t>(batch.logit_rows.size()))), 0);
}

}  // namespace atom::kernels::cuda
