#include "atom/bench/kernels/onednn_product.h"

#include <algorithm>
#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "atom/core/check.h"
#include "atom/core/rng.h"

namespace atom::bench {
namespace {

using dnnl::memory;

struct TypeRow {
  OneDnnType type;
  std::string_view name;
  memory::data_type activation;
  memory::data_type weight;
  memory::data_type output;
};
constexpr std::array kTable = {
    TypeRow{OneDnnType::kF32, "onednn_f32", memory::data_type::f32, memory::data_type::f32,
            memory::data_type::f32},
    TypeRow{OneDnnType::kBf16, "onednn_bf16", memory::data_type::bf16, memory::data_type::bf16,
            memory::data_type::f32},
    TypeRow{OneDnnType::kInt8, "onednn_int8", memory::data_type::u8, memory::data_type::s8,
            memory::data_type::s32},
};

const TypeRow& Row(OneDnnType type) { return kTable.at(static_cast<size_t>(type)); }

/// The OpenMP runtime that oneDNN was built with, if any: found at run time, not linked. The
/// setting belongs to the calling thread.
void SetOmpThreads(int threads) {
  using SetFunction = void (*)(int);
  static const auto function =
      reinterpret_cast<SetFunction>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (function != nullptr) function(threads);
}

/// Small bytes: as int8 small integers, as floats neither denormal nor NaN.
void FillRandom(memory& target) {
  Rng rng(11);
  auto* bytes = static_cast<uint8_t*>(target.get_data_handle());
  const size_t size = target.get_desc().get_size();
  const memory::data_type type = target.get_desc().data_type();
  if (type == memory::data_type::f32) {
    auto* values = reinterpret_cast<float*>(bytes);
    for (size_t i = 0; i < size / 4; ++i) values[i] = static_cast<float>(rng.Below(255) - 127);
    return;
  }
  const size_t step = type == memory::data_type::bf16 ? 2 : 1;
  for (size_t i = 0; i < size; i += step) {
    bytes[i] = static_cast<uint8_t>(rng.Next() >> 58);
    if (step == 2) bytes[i + 1] = 0x3d;  // bf16 near 0.04
  }
}

}  // namespace

std::string_view Name(OneDnnType type) { return Row(type).name; }

void LimitOneDnn(CpuIsa isa) {
  if (isa == CpuIsa::kAmx) return;
  // Refused once a product has run; the tests of one process may come here twice.
  (void)dnnl_set_max_cpu_isa(isa == CpuIsa::kAvx512    ? dnnl_cpu_isa_avx512_core_bf16
                             : isa == CpuIsa::kAvxVnni ? dnnl_cpu_isa_avx2_vnni
                             : isa == CpuIsa::kAvx2    ? dnnl_cpu_isa_avx2
                                                       : dnnl_cpu_isa_sse41);
}

struct OneDnnProduct::State {
  OneDnnType type;
  int64_t n;
  int64_t k;
  int threads;
  int64_t rotate_bytes;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::matmul product{};
  memory::desc layout{};          // of the weights
  std::vector<memory> weights{};  // copies
  memory activation{};
  memory output{};
  size_t next = 0;

  void MakeWeights() {
    const memory::desc plain({k, n}, Row(type).weight, memory::format_tag::ab);
    memory values(plain, engine);
    FillRandom(values);
    const auto bytes = static_cast<int64_t>(layout.get_size());
    const int64_t copies = std::max<int64_t>(1, (rotate_bytes + bytes - 1) / bytes);
    weights.clear();
    for (int64_t i = 0; i < copies; ++i) {
      weights.emplace_back(layout, engine);
      dnnl::reorder(values, weights.back()).execute(stream, values, weights.back());
    }
    stream.wait();
  }
};

OneDnnProduct::OneDnnProduct(OneDnnType type, int64_t n, int64_t k, int threads,
                             int64_t rotate_bytes)
    : state_(new State{
          .type = type, .n = n, .k = k, .threads = threads, .rotate_bytes = rotate_bytes}) {}

OneDnnProduct::~OneDnnProduct() = default;

bool OneDnnProduct::Prepare(int64_t m) {
  State& s = *state_;
  SetOmpThreads(s.threads);
  const TypeRow& row = Row(s.type);
  const memory::desc a({m, s.k}, row.activation, memory::format_tag::ab);
  const memory::desc b({s.k, s.n}, row.weight, memory::format_tag::any);
  const memory::desc c({m, s.n}, row.output, memory::format_tag::ab);
  const dnnl::matmul::primitive_desc choice(dnnl::matmul::desc(a, b, c), s.engine,
                                            /*allow_empty=*/true);
  if (!choice) return false;
  const std::string_view implementation = choice.impl_info_str();
  if (implementation.find("ref") != std::string_view::npos) return false;
  s.product = dnnl::matmul(choice);
  if (s.weights.empty() || s.layout != choice.weights_desc()) {
    s.layout = choice.weights_desc();
    s.MakeWeights();
  }
  s.activation = memory(a, s.engine);
  FillRandom(s.activation);
  s.output = memory(c, s.engine);
  return true;
}

void OneDnnProduct::Run() {
  State& s = *state_;
  ATOM_CHECK(!s.weights.empty(), "Run before Prepare");
  s.product.execute(s.stream, {{DNNL_ARG_SRC, s.activation},
                               {DNNL_ARG_WEIGHTS, s.weights[s.next++ % s.weights.size()]},
                               {DNNL_ARG_DST, s.output}});
  s.stream.wait();
}

}  // namespace atom::bench
