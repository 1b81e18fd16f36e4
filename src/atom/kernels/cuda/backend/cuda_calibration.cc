// What calibration asks of the backend: values of activations, sums over their tokens, and a place
// for hidden states between two layers.
#include "atom/core/check.h"
#include "atom/kernels/cuda/backend/cuda_backend.h"
#include "atom/kernels/cuda/calibration/token_call.h"
#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {
namespace {

const CudaActivation& DenseOf(const PackedActivation& activation) {
  const CudaActivation& own = CudaActivation::Of(activation);
  ATOM_CHECK(own.format().dense(), "the values of packed codes");
  return own;
}

}  // namespace

/// fp16 and an exponent a row, as HiddenStore has them.
class CudaSampleStore final : public SampleStore {
 public:
  CudaSampleStore(CudaBackend& backend, int64_t samples, int64_t rows, int64_t cols)
      : backend_(backend),
        samples_(samples),
        rows_(rows),
        cols_(cols),
        halves_(backend.Allocate(static_cast<size_t>(samples * rows * cols) * sizeof(uint16_t))),
        exponents_(backend.Allocate(static_cast<size_t>(samples * rows))),
        not_finite_(backend.Allocate(sizeof(int32_t))) {}

  void Write(int64_t sample, const DeviceTensor& hidden) override {
    backend_.Flush();
    Require(Check(EnqueueKeepRows(CallOf(sample, hidden), backend_.stream_.get()),
                  "launch the copy of hidden states"));
  }
  void Read(int64_t sample, const DeviceTensor& hidden) override {
    backend_.Flush();
    Require(Check(EnqueueReadRows(CallOf(sample, hidden), backend_.stream_.get()),
                  "launch the copy of hidden states"));
  }

  bool finite() const override {
    int32_t flag = 0;
    backend_.Download(not_finite_.data(), std::as_writable_bytes(std::span(&flag, 1)));
    return flag == 0;
  }

 private:
  KeepRowsCall CallOf(int64_t sample, const DeviceTensor& hidden) const {
    ATOM_CHECK(sample >= 0 && sample < samples_ && hidden.rows == rows_ && hidden.cols == cols_ &&
                   hidden.dtype == DType::kF32,
               "sample {} of {}: {} x {}, expected {} x {}", sample, samples_, hidden.rows,
               hidden.cols, rows_, cols_);
    return {.rows = static_cast<float*>(hidden.data),
            .stride = hidden.stride,
            .count = rows_,
            .columns = cols_,
            .halves = static_cast<uint16_t*>(halves_.data()) + sample * rows_ * cols_,
            .exponents = static_cast<int8_t*>(exponents_.data()) + sample * rows_,
            .not_finite = static_cast<int32_t*>(not_finite_.data())};
  }

  CudaBackend& backend_;
  int64_t samples_, rows_, cols_;
  DeviceBuffer halves_, exponents_, not_finite_;
};

void CudaBackend::UnpackDense(const PackedActivation& activation, const DeviceTensor& out) {
  const CudaActivation& own = DenseOf(activation);
  ATOM_CHECK(out.rows == own.rows() && out.cols == own.k() && out.stride == out.cols &&
                 out.dtype == DType::kF32,
             "{} x {}, expected {} x {}", out.rows, out.cols, own.rows(), own.k());
  Flush();
  const UnpackDenseCall call = {.values = own.values.data(),
                                .layout = own.dense_layout(own.rows()),
                                .to = static_cast<float*>(out.data)};
  Require(Check(EnqueueUnpackDense(call, stream_.get()), "launch the values of an activation"));
}

void CudaBackend::AddSample(const PackedActivation& activation, quant::Metric metric,
                            DeviceSpan<double> sums) {
  const CudaActivation& own = DenseOf(activation);
  ATOM_CHECK(sums.size == own.k(), "{} sums of {} channels", sums.size, own.k());
  Flush();
  const ChannelSumsCall call = {.values = own.values.data(),
                                .layout = own.dense_layout(own.rows()),
                                .largest_mean = metric == quant::Metric::kAbsMean,
                                .sums = sums.data};
  Require(Check(EnqueueChannelSums(call, stream_.get()), "launch sums over tokens"));
}

std::unique_ptr<SampleStore> CudaBackend::MakeSampleStore(int64_t samples, int64_t rows,
                                                          int64_t cols) {
  size_t free = 0, total = 0;
  Require(Check(cudaMemGetInfo(&free, &total), "ask for the free memory of the GPU"));
  // The rest is the layer's, its sums' and another store's.
  if (static_cast<size_t>(samples * rows * cols) * sizeof(uint16_t) > free / 4) return nullptr;
  return std::make_unique<CudaSampleStore>(*this, samples, rows, cols);
}

}  // namespace atom::kernels::cuda
