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
  ATOM_CHECK(out.rows == step().rows(), "{} rows, {} tokens", out.rows, step().rows());
  const RowTable tokens(*embedding.table, embedding.dtype, out.cols);
  pool_.ParallelFor(out.rows, [&](int64_t row, int) {
    const std::span<float> values = Row(out, row);
    tokens.Read(step_.TokenOf(row), values, "token");
    if (embedding.scale != 1.0f) {
      for (float& value : values) value *= embedding.scale;
    }
    if (embedding.positions == nullptr) return;
    std::vector<float> learned(values.size());
    const RowTable positions(*embedding.positions, embedding.dtype, out.cols);
    positions.Read(step().positions[static_cast<size_t>(row)] + embedding.position_offset, learned,
                   "position");
    for (size_t i = 0; i < values.size(); ++i) values[i] += learned[i];
  });
}

void ReferenceBackend::GatherLogitRows(const DeviceTensor& x, const DeviceTensor& out) {
  const std::span<const int32_t> rows = step().logit_rows;
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
                                             DeviceSpan<double> out) {
  ATOM_CHECK(std::ssize(targets) == logits.rows && out.size >= logits.rows,
             "{} rows, {} targets, room for {} results", logits.rows, targets.size(), out.size);
  pool_.ParallelFor(logits.rows, [&](int64_t row, int) {
    const std::span<const float> z = Row(logits, row);
    const auto target = static_cast<size_t>(targets[static_cast<size_t>(row)]);
    ATOM_CHECK(target < z.size(), "target {}, {} logits", target, z.size());
    const double max = double{*std::ranges::max_element(z)};
    double sum = 0.0;
    for (const float value : z) sum += std::exp(double{value} - max);
    out.data[row] = std::log(sum) - (double{z[target]} - max);
  });
}

void ReferenceBackend::Sample(const DeviceTensor& logits, std::span<const SampleRow> rows,
                              DeviceSpan<int32_t> tokens) {
  ATOM_CHECK(tokens.size >= logits.rows, "{} rows, room for {} tokens", logits.rows, tokens.size);
  pool_.ParallelFor(std::ssize(rows), [&](int64_t index, int) {
    const SampleRow& row = rows[static_cast<size_t>(index)];
    ATOM_CHECK(row.row >= 0 && row.row < logits.rows, "row {} of {}", row.row, logits.rows);
    tokens.data[row.row] = SampleToken(Row(logits, row.row), row.params, row.uniform);
  });
  for (const SampleRow& row : rows) step_.KeepToken(row.slot, tokens.data[row.row]);
}

void ReferenceBackend::TokenLogProbs(const DeviceTensor& logits,
                                     std::span<const LogProbQuery> queries,
                                     DeviceSpan<int32_t> tokens, const DeviceLogProbs& out) {
  ATOM_CHECK(out.targets.size >= std::ssize(queries), "{} queries, room for {} results",
             queries.size(), out.targets.size);
  pool_.ParallelFor(std::ssize(queries), [&](int64_t index, int) {
    LogProbQuery query = queries[static_cast<size_t>(index)];
    ATOM_CHECK(query.row >= 0 && query.row < logits.rows, "row {} of {}", query.row, logits.rows);
    if (query.target == kChosenToken) query.target = tokens.data[query.row];
    const LogProbs found = LogProbsOf(Row(logits, query.row), query);
    out.targets.data[index] = found.target;
    std::ranges::copy(found.top, out.top.data + index * kMostTopTokens);
  });
}

}  // namespace atom::kernels::reference
