#include "atom/quant/sgemm.h"

#include <algorithm>
#include <dlfcn.h>
#include <dnnl.h>
#include <vector>

#include "atom/core/check.h"

namespace atom::quant {
namespace {

// Tile sizes: measured, within 10 % of the best over K = 128 … 4096.
constexpr int64_t kTileRows = 256;
constexpr int64_t kTileColumns = 512;
constexpr int64_t kTriangleTile = 192;

/// While it lives, oneDNN uses one thread for calls from this thread. Its OpenMP runtime is found
/// at run time: oneDNN may have been built with another one (or with none), which this program
/// does not link. The setting belongs to the calling thread, so others are not disturbed.
class OneOmpThread {
 public:
  OneOmpThread() : previous_(Max() == nullptr ? 0 : Max()()) { Set(1); }
  ~OneOmpThread() { Set(previous_); }
  OneOmpThread(const OneOmpThread&) = delete;
  OneOmpThread& operator=(const OneOmpThread&) = delete;

 private:
  using GetFunction = int (*)();
  using SetFunction = void (*)(int);

  static GetFunction Max() {
    static const auto function =
        reinterpret_cast<GetFunction>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
    return function;
  }
  static void Set(int threads) {
    static const auto function =
        reinterpret_cast<SetFunction>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (function != nullptr && threads > 0) function(threads);
  }

  int previous_;
};

struct Tile {
  int64_t row;
  int64_t column;
};

void MultiplyTiles(ThreadPool& pool, const Product& product, const std::vector<Tile>& tiles,
                   int64_t tile_rows, int64_t tile_columns) {
  pool.ParallelFor(static_cast<int64_t>(tiles.size()), [&](int64_t task, int /*worker*/) {
    const Tile& tile = tiles[static_cast<size_t>(task)];
    MultiplySerial(SubProduct(product, tile.row, std::min(tile_rows, product.m - tile.row),
                              tile.column, std::min(tile_columns, product.n - tile.column)));
  });
}

}  // namespace

Product SubProduct(const Product& whole, int64_t row, int64_t rows, int64_t column,
                   int64_t columns) {
  Product part = whole;
  part.m = rows;
  part.n = columns;
  part.a += whole.transpose_a ? row : row * whole.lda;
  part.b += whole.transpose_b ? column * whole.ldb : column;
  part.c += row * whole.ldc + column;
  return part;
}

void MultiplySerial(const Product& p) {
  if (p.m == 0 || p.n == 0 || p.k == 0) {
    ATOM_CHECK(p.k > 0 || p.beta == 1.0f, "an empty sum would have to clear c");
    return;
  }
  const OneOmpThread one_thread;
  const dnnl_status_t status =
      dnnl_sgemm(p.transpose_a ? 'T' : 'N', p.transpose_b ? 'T' : 'N', p.m, p.n, p.k, p.alpha, p.a,
                 p.lda, p.b, p.ldb, p.beta, p.c, p.ldc);
  ATOM_CHECK(status == dnnl_success, "dnnl_sgemm of {} x {} x {} returned {}", p.m, p.n, p.k,
             static_cast<int>(status));
}

void Multiply(ThreadPool& pool, const Product& product) {
  std::vector<Tile> tiles;
  for (int64_t row = 0; row < product.m; row += kTileRows) {
    for (int64_t column = 0; column < product.n; column += kTileColumns) {
      tiles.push_back({row, column});
    }
  }
  MultiplyTiles(pool, product, tiles, kTileRows, kTileColumns);
}

void MultiplyUpper(ThreadPool& pool, const Product& product) {
  ATOM_CHECK(product.m == product.n, "{} x {} has no triangle", product.m, product.n);
  std::vector<Tile> tiles;
  for (int64_t row = 0; row < product.m; row += kTriangleTile) {
    for (int64_t column = row; column < product.n; column += kTriangleTile) {
      tiles.push_back({row, column});
    }
  }
  MultiplyTiles(pool, product, tiles, kTriangleTile, kTriangleTile);
}

}  // namespace atom::quant
