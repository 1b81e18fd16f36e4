#include "atom/model/projected_table.h"

#include <algorithm>
#include <vector>

#include "atom/core/check.h"
#include "atom/core/thread_pool.h"

namespace atom::model {
namespace {

/// [E][hidden]
std::vector<float> Columns(const TensorView& projection, bool transposed) {
  std::vector<float> values = ToFloats(projection);
  if (!transposed) return values;
  const auto rows = static_cast<size_t>(projection.dim(0));
  const auto columns = static_cast<size_t>(projection.dim(1));
  std::vector<float> turned(values.size());
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      turned[column * rows + row] = values[row * columns + column];
    }
  }
  return turned;
}

}  // namespace

artifact::DenseMatrix ProjectedTable(const TensorView& table, const TensorView& projection,
                                     bool transposed) {
  const int64_t rows = table.dim(0), inner = table.dim(1);
  const int64_t hidden = projection.dim(transposed ? 0 : 1);
  ATOM_CHECK(projection.dim(transposed ? 1 : 0) == inner, "a projection of {}, rows of {}",
             ShapeString(projection.shape), inner);
  const std::vector<float> columns = Columns(projection, transposed);
  artifact::DenseMatrix result;
  result.owned = Buffer(static_cast<size_t>(rows * hidden) * sizeof(float));
  result.view = TensorView{DType::kF32, {rows, hidden}, result.owned.data()};
  const std::span<float> sums = result.owned.As<float>();
  ThreadPool pool(ThreadPool::DefaultThreads());
  pool.ParallelFor(rows, [&](int64_t row, int) {
    std::vector<float> from(static_cast<size_t>(inner));
    ReadFloats(table, row * inner, from);
    float* to = sums.data() + row * hidden;
    std::fill_n(to, hidden, 0.0f);
    for (int64_t e = 0; e < inner; ++e) {
      const float* column = columns.data() + e * hidden;
      const float value = from[static_cast<size_t>(e)];
      for (int64_t i = 0; i < hidden; ++i) to[i] += value * column[i];
    }
  });
  return result;
}

}  // namespace atom::model
