// Both ends of the model: token ids to rows, and logits to likelihoods and tokens.
// docs/numerics.md, section 4.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "atom/kernels/cpu/ops.h"

namespace atom::kernels::cpu {
namespace {

template <class T>
void WidenRow(const std::byte* from, std::span<float> out) {
  for (float& value : out) {
    T element;
    std::memcpy(&element, from, sizeof(T));
    value = ToFloat(element);
    from += sizeof(T);
  }
}

void WidenRow(DType dtype, const std::byte* from, std::span<float> out) {
  if (dtype == DType::kF32) return WidenRow<float>(from, out);
  if (dtype == DType::kF16) return WidenRow<Half>(from, out);
  if (dtype == DType::kBF16) return WidenRow<BFloat16>(from, out);
  ATOM_CHECK(false, "an embedding of {}", DTypeName(dtype));
}

/// Row `row` of a table [rows][out.size()] on the device, in fp32.
void ReadTableRow(const DeviceBuffer& table, DType dtype, int64_t row, std::string_view what,
                  std::span<float> out) {
  const int64_t row_bytes = static_cast<int64_t>(out.size()) * DTypeSize(dtype);
  const int64_t rows = static_cast<int64_t>(table.bytes()) / row_bytes;
  ATOM_CHECK(row >= 0 && row < rows, "{} {}, a table of {}", what, row, rows);
  WidenRow(dtype, static_cast<const std::byte*>(table.data()) + row * row_bytes, out);
}

}  // namespace

void Embed(const CpuContext& context, const Batch& batch, const DeviceEmbedding& embedding,
           const DeviceTensor& out) {
  ATOM_CHECK(out.rows == batch.rows(), "{} rows, {} tokens", out.rows, batch.rows());
  const auto embed = [&](int64_t row, int worker) {
    const auto i = static_cast<size_t>(row);
    float* values = RowOf(out, row);
    const auto columns = static_cast<size_t>(out.cols);
    ReadTableRow(*embedding.table, embedding.dtype, batch.tokens[i], "token", {values, columns});
    if (embedding.scale != 1.0f) {
      context.kernels.multiply(values, embedding.scale, out.cols, values);
    }
    if (embedding.positions == nullptr) return;
    ScratchPlan plan;
    const size_t learned_at = plan.Add<float>(out.cols);
    auto* learned = ScratchAt<float>(context.workspace.Of(worker, plan.bytes()), learned_at);
    ReadTableRow(*embedding.positions, embedding.dtype,
                 batch.positions[i] + embedding.position_offset, "position", {learned, columns});
    context.kernels.add(values, learned, out.cols, values);
  };
  context.ParallelFor(out.rows, embed);
}

void GatherLogitRows(const Batch& batch, const DeviceTensor& x, const DeviceTensor& out) {
  const std::vector<int32_t>& rows = batch.logit_rows;
  ATOM_CHECK(out.rows == static_cast<int64_t>(rows.size()) && out.cols == x.cols,
             "output {} x {}, expected {} x {}", out.rows, out.cols, rows.size(), x.cols);
  for (size_t i = 0; i < rows.size(); ++i) {
    ATOM_CHECK(rows[i] >= 0 && rows[i] < x.rows, "logit row {} of {}", rows[i], x.rows);
    std::copy_n(RowOf(x, rows[i]), x.cols, RowOf(out, static_cast<int64_t>(i)));
  }
}

void Softcap(const CpuContext& context, const DeviceTensor& x, float cap) {
  const auto run = [&](int64_t row, int) { context.kernels.softcap(RowOf(x, row), x.cols, cap); };
  context.ParallelFor(x.rows, run);
}

void NegativeLogLikelihood(const CpuContext& context, const DeviceTensor& logits,
                           std::span<const int32_t> targets, std::span<double> out) {
  ATOM_CHECK(static_cast<int64_t>(targets.size()) == logits.rows && out.size() == targets.size(),
             "{} rows, {} targets, {} results", logits.rows, targets.size(), out.size());
  const auto measure = [&](int64_t row, int) {
    const float* z = RowOf(logits, row);
    const auto i = static_cast<size_t>(row);
    ATOM_CHECK(targets[i] >= 0 && targets[i] < logits.cols, "target {}, {} logits", targets[i],
               logits.cols);
    const float max = context.kernels.max(z, logits.cols);
    const double sum = context.kernels.sum_exp(z, max, logits.cols);
    out[i] = std::log(sum) - (double{z[targets[i]]} - double{max});
  };
  context.ParallelFor(logits.rows, measure);
}

void Sample(const CpuContext& context, const DeviceTensor& logits,
            std::span<const SamplingParams> params, std::span<const double> uniforms,
            std::span<int32_t> tokens) {
  const auto rows = static_cast<size_t>(logits.rows);
  ATOM_CHECK(params.size() == rows && uniforms.size() == rows && tokens.size() == rows,
             "{} rows, {} params, {} uniforms, {} tokens", rows, params.size(), uniforms.size(),
             tokens.size());
  const auto sample = [&](int64_t row, int) {
    const auto i = static_cast<size_t>(row);
    tokens[i] =
        SampleToken({RowOf(logits, row), static_cast<size_t>(logits.cols)}, params[i], uniforms[i]);
  };
  context.ParallelFor(logits.rows, sample);
}

void TokenLogProbs(const CpuContext& context, const DeviceTensor& logits,
                   std::span<const LogProbQuery> queries, std::span<LogProbs> out) {
  ATOM_CHECK(queries.size() == out.size(), "{} queries, {} results", queries.size(), out.size());
  const auto answer = [&](int64_t query, int) {
    const auto i = static_cast<size_t>(query);
    ATOM_CHECK(queries[i].row >= 0 && queries[i].row < logits.rows, "row {} of {}", queries[i].row,
               logits.rows);
    out[i] =
        LogProbsOf({RowOf(logits, queries[i].row), static_cast<size_t>(logits.cols)}, queries[i]);
  };
  context.ParallelFor(static_cast<int64_t>(queries.size()), answer);
}

}  // namespace atom::kernels::cpu
