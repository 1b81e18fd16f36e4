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

std::span<const float> LogitsOf(const DeviceTensor& logits, int64_t row) {
  ATOM_CHECK(row >= 0 && row < logits.rows, "row {} of {}", row, logits.rows);
  return {RowOf(logits, row), static_cast<size_t>(logits.cols)};
}

/// What sampling a row of logits, or ordering it, works in.
struct LogitPlaces {
  explicit LogitPlaces(int64_t vocabulary)
      : size(static_cast<size_t>(vocabulary)),
        ids_at(plan.Add<int32_t>(vocabulary)),
        edited_at(plan.Add<float>(vocabulary)) {}
  std::span<int32_t> Ids(std::byte* base) const { return {ScratchAt<int32_t>(base, ids_at), size}; }
  std::span<float> Edited(std::byte* base) const {
    return {ScratchAt<float>(base, edited_at), size};
  }
  ScratchPlan plan;
  size_t size;
  size_t ids_at;
  size_t edited_at;
};

/// Row `row` of a table [rows][out.size()] on the device, in fp32.
void ReadTableRow(const DeviceBuffer& table, DType dtype, int64_t row, std::string_view what,
                  std::span<float> out) {
  const int64_t row_bytes = static_cast<int64_t>(out.size()) * DTypeSize(dtype);
  const int64_t rows = static_cast<int64_t>(table.bytes()) / row_bytes;
  ATOM_CHECK(row >= 0 && row < rows, "{} {}, a table of {}", what, row, rows);
  WidenRow(dtype, static_cast<const std::byte*>(table.data()) + row * row_bytes, out);
}

}  // namespace

void Embed(const CpuContext& context, const HostStep& step, const DeviceEmbedding& embedding,
           const DeviceTensor& out) {
  ATOM_CHECK(out.rows == step.view().rows(), "{} rows, {} tokens", out.rows, step.view().rows());
  const auto embed = [&](int64_t row, int worker) {
    float* values = RowOf(out, row);
    const auto columns = static_cast<size_t>(out.cols);
    ReadTableRow(*embedding.table, embedding.dtype, step.TokenOf(row), "token", {values, columns});
    if (embedding.scale != 1.0f) {
      context.kernels.multiply(values, embedding.scale, out.cols, values);
    }
    if (embedding.positions == nullptr) return;
    ScratchPlan plan;
    const size_t learned_at = plan.Add<float>(out.cols);
    auto* learned = ScratchAt<float>(context.workspace.Of(worker, plan.bytes()), learned_at);
    ReadTableRow(*embedding.positions, embedding.dtype,
                 step.view().positions[static_cast<size_t>(row)] + embedding.position_offset,
                 "position", {learned, columns});
    context.kernels.add(values, learned, out.cols, values);
  };
  context.ParallelFor(out.rows, embed);
}

void GatherLogitRows(const StepView& step, const DeviceTensor& x, const DeviceTensor& out) {
  const std::span<const int32_t> rows = step.logit_rows;
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
                           std::span<const int32_t> targets, DeviceSpan<double> out) {
  ATOM_CHECK(std::ssize(targets) == logits.rows && out.size >= logits.rows,
             "{} rows, {} targets, room for {} results", logits.rows, targets.size(), out.size);
  const auto measure = [&](int64_t row, int) {
    const float* z = RowOf(logits, row);
    const int32_t target = targets[static_cast<size_t>(row)];
    ATOM_CHECK(target >= 0 && target < logits.cols, "target {}, {} logits", target, logits.cols);
    const float max = context.kernels.max(z, logits.cols);
    const double sum = context.kernels.sum_exp(z, max, logits.cols);
    out.data[row] = std::log(sum) - (double{z[target]} - double{max});
  };
  context.ParallelFor(logits.rows, measure);
}

ScratchSize LogitScratch(int64_t vocabulary) {
  return {.worker = LogitPlaces(vocabulary).plan.bytes()};
}

void Sample(const CpuContext& context, const DeviceTensor& logits, std::span<const SampleRow> rows,
            DeviceSpan<int32_t> tokens) {
  ATOM_CHECK(tokens.size >= logits.rows, "{} rows, room for {} tokens", logits.rows, tokens.size);
  const LogitPlaces places(logits.cols);
  const auto sample = [&](int64_t index, int worker) {
    const SampleRow& row = rows[static_cast<size_t>(index)];
    std::byte* base = context.workspace.Of(worker, places.plan.bytes());
    tokens.data[row.row] = SampleToken(LogitsOf(logits, row.row), row.params, row.uniform,
                                       {.ids = places.Ids(base), .edited = places.Edited(base)});
  };
  context.ParallelFor(std::ssize(rows), sample);
}

void TokenLogProbs(const CpuContext& context, const DeviceTensor& logits,
                   std::span<const LogProbQuery> queries, DeviceSpan<int32_t> tokens,
                   const DeviceLogProbs& out) {
  ATOM_CHECK(out.targets.size >= std::ssize(queries), "{} queries, room for {} results",
             queries.size(), out.targets.size);
  const LogitPlaces places(logits.cols);
  const auto answer = [&](int64_t index, int worker) {
    LogProbQuery query = queries[static_cast<size_t>(index)];
    if (query.target == kChosenToken) query.target = tokens.data[query.row];
    std::byte* base = context.workspace.Of(worker, places.plan.bytes());
    out.targets.data[index] =
        WriteLogProbs(LogitsOf(logits, query.row), query, places.Ids(base),
                      {out.top.data + index * kMostTopTokens, kMostTopTokens});
  };
  context.ParallelFor(std::ssize(queries), answer);
}

}  // namespace atom::kernels::cpu
