// Both ends of the model: token ids to rows, and logits to likelihoods and tokens.
#include <algorithm>
#include <cmath>

#include "atom/kernels/reference/exp.h"
#include "atom/kernels/reference/reference_backend.h"

namespace atom::kernels::reference {

namespace {

/// The rows of a table [rows][cols] on the device.
class RowTable {
 public:
  RowTable(const DeviceBuffer& table, DType dtype, int64_t cols)
      : view_{dtype,
              {static_cast<int64_t>(table.bytes()) / (cols * DTypeSize(dtype)), cols},
              static_cast<const std::byte*>(table.data())} {}

  void Read(int64_t row, std::span<float> out, std::string_view what) const {
    ATOM_CHECK(row >= 0 && row < view_.dim(0), "{} {}, a table of {}", what, row, view_.dim(0));
    ReadFloats(view_, row * view_.dim(1), out);
  }

 private:
  TensorView view_;
};

}  // namespace

void ReferenceBackend::Embed(const DeviceEmbedding& embedding, const DeviceTensor& out) {
  ATOM_CHECK(out.rows == batch().rows(), "{} rows, {} tokens", out.rows, batch().rows());
  const RowTable tokens(*embedding.table, embedding.dtype, out.cols);
  pool_.ParallelFor(out.rows, [&](int64_t row, int) {
    const std::span<float> values = Row(out, row);
    tokens.Read(batch().tokens[static_cast<size_t>(row)], values, "token");
    if (embedding.scale != 1.0f) {
      for (float& value : values) value *= embedding.scale;
    }
    if (embedding.positions == nullptr) return;
    std::vector<float> learned(values.size());
    const RowTable positions(*embedding.positions, embedding.dtype, out.cols);
    positions.Read(batch().positions[static_cast<size_t>(row)] + embedding.position_offset, learned,
                   "position");
    for (size_t i = 0; i < values.size(); ++i) values[i] += learned[i];
  });
}

void ReferenceBackend::GatherLogitRows(const DeviceTensor& x, const DeviceTensor& out) {
  const std::vector<int32_t>& rows = batch().logit_rows;
  ATOM_CHECK(out.rows == static_cast<int64_t>(rows.size()) && out.cols == x.cols,
             "output {} x {}, expected {} x {}", out.rows, out.cols, rows.size(), x.cols);
  for (size_t i = 0; i < rows.size(); ++i) {
    std::ranges::copy(Row(x, rows[i]), Row(out, static_cast<int64_t>(i)).begin());
  }
}

void ReferenceBackend::Softcap(const DeviceTensor& x, float cap) {
  pool_.ParallelFor(x.rows, [&](int64_t row, int) {
    for (float& value : Row(x, row)) value = cap * Tanh(value / cap);
  });
}

void ReferenceBackend::NegativeLogLikelihood(const DeviceTensor& logits,
                                             std::span<const int32_t> targets,
                                             std::span<double> out) {
  ATOM_CHECK(static_cast<int64_t>(targets.size()) == logits.rows && out.size() == targets.size(),
             "{} rows, {} targets, {} results", logits.rows, targets.size(), out.size());
  pool_.ParallelFor(logits.rows, [&](int64_t row, int) {
    const std::span<const float> z = Row(logits, row);
    const auto target = static_cast<size_t>(targets[static_cast<size_t>(row)]);
    ATOM_CHECK(target < z.size(), "target {}, {} logits", target, z.size());
    const double max = double{*std::ranges::max_element(z)};
    double sum = 0.0;
    for (const float value : z) sum += std::exp(double{value} - max);
    out[static_cast<size_t>(row)] = std::log(sum) - (double{z[target]} - max);
  });
}

void ReferenceBackend::Sample(const DeviceTensor& logits, std::span<const SamplingParams> params,
                              std::span<const double> uniforms, std::span<int32_t> tokens) {
  const auto rows = static_cast<size_t>(logits.rows);
  ATOM_CHECK(params.size() == rows && uniforms.size() == rows && tokens.size() == rows,
             "{} rows, {} params, {} uniforms, {} tokens", rows, params.size(), uniforms.size(),
             tokens.size());
  pool_.ParallelFor(logits.rows, [&](int64_t row, int) {
    const auto i = static_cast<size_t>(row);
    tokens[i] = SampleToken(Row(logits, row), params[i], uniforms[i]);
  });
}

void ReferenceBackend::TokenLogProbs(const DeviceTensor& logits,
                                     std::span<const LogProbQuery> queries,
                                     std::span<LogProbs> out) {
  ATOM_CHECK(queries.size() == out.size(), "{} queries, {} results", queries.size(), out.size());
  pool_.ParallelFor(static_cast<int64_t>(queries.size()), [&](int64_t query, int) {
    const auto i = static_cast<size_t>(query);
    ATOM_CHECK(queries[i].row >= 0 && queries[i].row < logits.rows, "row {} of {}", queries[i].row,
               logits.rows);
    out[i] = LogProbsOf(Row(logits, queries[i].row), queries[i]);
  });
}

}  // namespace atom::kernels::reference
