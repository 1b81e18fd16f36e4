#include "atom/kernels/cuda/bench/cublaslt.h"

#include <cublasLt.h>
#include <dlfcn.h>
#include <vector>

#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {
namespace {

constexpr size_t kWorkspace = size_t{64} << 20;
constexpr int kMostAlgorithms = 8;
constexpr std::array<std::string_view, 3> kNames = {"cublas_fp16", "cublas_int8", "cublas_fp8"};
// Of this program's toolkit first; then what is installed beside the driver.
constexpr std::array kFiles = {
    "libcublasLt.so.13", "libcublasLt.so.12", "/usr/local/cuda/lib64/libcublasLt.so",
    "/usr/local/cuda/targets/x86_64-linux/lib/libcublasLt.so", "libcublasLt.so"};

Status CheckLt(cublasStatus_t status, const char* action) {
  if (status == CUBLAS_STATUS_SUCCESS) return {};
  return MakeError("cuBLASLt could not {} (status {})", action, static_cast<int>(status));
}

}  // namespace

std::string_view Name(CublasType type) { return kNames[static_cast<size_t>(type)]; }

struct CublasLt::Library {
  void* file = nullptr;
  cublasLtHandle_t handle = nullptr;
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtMatmulDescCreate) create_product = nullptr;
  decltype(&cublasLtMatmulDescDestroy) destroy_product = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) set_product = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) create_layout = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) destroy_layout = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) find = nullptr;
  decltype(&cublasLtMatmul) multiply = nullptr;

  template <class Function>
  bool Find(const char* name, Function* function) const {
    *function = reinterpret_cast<Function>(dlsym(file, name));
    return *function != nullptr;
  }
  bool FindAll() {
    return Find("cublasLtCreate", &create) && Find("cublasLtDestroy", &destroy) &&
           Find("cublasLtMatmulDescCreate", &create_product) &&
           Find("cublasLtMatmulDescDestroy", &destroy_product) &&
           Find("cublasLtMatmulDescSetAttribute", &set_product) &&
           Find("cublasLtMatrixLayoutCreate", &create_layout) &&
           Find("cublasLtMatrixLayoutDestroy", &destroy_layout) &&
           Find("cublasLtMatmulPreferenceCreate", &create_preference) &&
           Find("cublasLtMatmulPreferenceDestroy", &destroy_preference) &&
           Find("cublasLtMatmulPreferenceSetAttribute", &set_preference) &&
           Find("cublasLtMatmulAlgoGetHeuristic", &find) && Find("cublasLtMatmul", &multiply);
  }
};

void CublasLt::Close::operator()(Library* library) const {
  if (library->handle != nullptr) (void)library->destroy(library->handle);
  if (library->file != nullptr) dlclose(library->file);
  delete library;
}

Result<CublasLt> CublasLt::Open() {
  std::unique_ptr<Library, Close> library(new Library);
  for (const char* file : kFiles) {
    if (library->file == nullptr) library->file = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  }
  if (library->file == nullptr) {
    return MakeError("no libcublasLt.so was found: rows have no ratio to cuBLASLt");
  }
  if (!library->FindAll())
    return MakeError("libcublasLt.so lacks a function that this bench needs");
  if (Status status = CheckLt(library->create(&library->handle), "start"); !status.ok()) {
    return status.error();
  }
  return CublasLt(std::move(library));
}

struct CublasProduct::State {
  const CublasLt::Library* library = nullptr;
  bool integer = false;
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t w = nullptr, x = nullptr, y = nullptr;
  void* workspace = nullptr;
  std::vector<cublasLtMatmulHeuristicResult_t> algorithms;

  Status Describe(CublasType type, int64_t m, int64_t n, int64_t k);
  Status FindAlgorithms();
};

void CublasProduct::Destroy::operator()(State* state) const {
  for (cublasLtMatrixLayout_t layout : {state->w, state->x, state->y}) {
    if (layout != nullptr) (void)state->library->destroy_layout(layout);
  }
  if (state->product != nullptr) (void)state->library->destroy_product(state->product);
  (void)cudaFree(state->workspace);
  delete state;
}

// cuBLASLt counts columns first: Yᵀ[N][M] = (W as [K][N])ᵀ · (X as [K][M]).
Status CublasProduct::State::Describe(CublasType type, int64_t m, int64_t n, int64_t k) {
  const cudaDataType_t operand = type == CublasType::kHalf   ? CUDA_R_16F
                                 : type == CublasType::kInt8 ? CUDA_R_8I
                                                             : CUDA_R_8F_E4M3;
  integer = type == CublasType::kInt8;
  Status status =
      CheckLt(library->create_product(&product, integer ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F,
                                      integer ? CUDA_R_32I : CUDA_R_32F),
              "describe a product");
  const cublasOperation_t transposed = CUBLAS_OP_T;
  if (status.ok()) {
    status = CheckLt(
        library->set_product(product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof(transposed)),
        "transpose an operand");
  }
  const int8_t fast = 1;
  if (status.ok() && type == CublasType::kE4M3) {
    status =
        CheckLt(library->set_product(product, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast, sizeof(fast)),
                "choose fast sums");
  }
  const auto lay_out = [&](cublasLtMatrixLayout_t* to, cudaDataType_t of, int64_t rows,
                           int64_t columns) {
    if (!status.ok()) return;
    status = CheckLt(library->create_layout(to, of, static_cast<uint64_t>(rows),
                                            static_cast<uint64_t>(columns), rows),
                     "lay out a matrix");
  };
  lay_out(&w, operand, k, n);
  lay_out(&x, operand, k, m);
  lay_out(&y, integer ? CUDA_R_32I : CUDA_R_16F, n, m);
  return status;
}

Status CublasProduct::State::FindAlgorithms() {
  Status status = Check(cudaMalloc(&workspace, kWorkspace), "allocate cuBLASLt's workspace");
  cublasLtMatmulPreference_t preference = nullptr;
  if (status.ok()) status = CheckLt(library->create_preference(&preference), "make a preference");
  if (!status.ok()) return status;
  const size_t limit = kWorkspace;
  status = CheckLt(library->set_preference(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                           &limit, sizeof(limit)),
                   "limit the workspace");
  algorithms.resize(kMostAlgorithms);
  int found = 0;
  if (status.ok()) {
    status = CheckLt(library->find(library->handle, product, w, x, y, y, preference,
                                   kMostAlgorithms, algorithms.data(), &found),
                     "find an algorithm");
  }
  algorithms.resize(static_cast<size_t>(found));
  (void)library->destroy_preference(preference);
  return status;
}

Result<CublasProduct> CublasProduct::Create(const CublasLt& lt, CublasType type, int64_t m,
                                            int64_t n, int64_t k) {
  std::unique_ptr<State, Destroy> state(new State);
  state->library = &lt.library();
  if (Status status = state->Describe(type, m, n, k); !status.ok()) return status.error();
  if (Status status = state->FindAlgorithms(); !status.ok()) return status.error();
  return CublasProduct(std::move(state));
}

int CublasProduct::algorithms() const { return static_cast<int>(state_->algorithms.size()); }

Status CublasProduct::Enqueue(const void* x, const void* w, void* y, cudaStream_t stream) const {
  const float one = 1, zero = 0;
  const int32_t int_one = 1, int_zero = 0;
  const void* alpha = state_->integer ? static_cast<const void*>(&int_one) : &one;
  const void* beta = state_->integer ? static_cast<const void*>(&int_zero) : &zero;
  return CheckLt(
      state_->library->multiply(state_->library->handle, state_->product, alpha, w, state_->w, x,
                                state_->x, beta, y, state_->y, y, state_->y,
                                &state_->algorithms[static_cast<size_t>(chosen_)].algo,
                                state_->workspace, kWorkspace, stream),
      "multiply");
}

}  // namespace atom::kernels::cuda
