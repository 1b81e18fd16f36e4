#include "atom/bench/kernels/ceilings.h"

#include <atomic>
#include <cstring>
#include <new>
#include <sys/mman.h>

#include "atom/bench/kernels/ceiling_loops.h"
#include "atom/core/check.h"

namespace atom::bench {
namespace {

constexpr int64_t kPieceIterations = 2000;         // some 10 µs
constexpr int64_t kPieceBytes = int64_t{1} << 20;  // read between two looks at the clock
constexpr size_t kHugePage = size_t{1} << 21;

CeilingLoops WithoutBf16(CeilingLoops loops) {
  loops.bf16 = {};
  return loops;
}

const CeilingLoops& LoopsFor(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kAmx: {
      static const CeilingLoops kWithoutBf16 = WithoutBf16(AmxLoops());
      return DetectCpuFeatures().avx512_bf16 ? AmxLoops() : kWithoutBf16;
    }
    case CpuIsa::kAvx512: {
      static const CeilingLoops kWithoutBf16 = WithoutBf16(Avx512Loops());
      return DetectCpuFeatures().avx512_bf16 ? Avx512Loops() : kWithoutBf16;
    }
    case CpuIsa::kAvxVnni:
      return AvxVnniLoops();
    case CpuIsa::kAvx2:
      return Avx2Loops();
    case CpuIsa::kScalar:
      break;
  }
  return ScalarLoops();
}

const CeilingLoop& LoopOf(const CeilingLoops& loops, Ceiling ceiling) {
  if (ceiling == Ceiling::kInteger) return loops.integer;
  return ceiling == Ceiling::kFma ? loops.fma : loops.bf16;
}

}  // namespace

ProbeMemory::ProbeMemory(int64_t bytes) : bytes_(bytes) {
  const auto size = static_cast<size_t>(bytes);
  void* data = std::aligned_alloc(kHugePage, (size + kHugePage - 1) / kHugePage * kHugePage);
  if (data == nullptr) throw std::bad_alloc();
  (void)madvise(data, size, MADV_HUGEPAGE);  // a wish
  std::memset(data, 1, size);                // untouched pages would all be the one page of zeros
  data_ = static_cast<std::byte*>(data);
}

ProbeMemory::~ProbeMemory() { std::free(data_); }

Ceilings::Ceilings(CpuIsa isa, int threads, const Effort& effort)
    : loops_(LoopsFor(isa)),
      effort_(effort),
      pool_(threads),
      next_(static_cast<size_t>(pool_.threads()), 0) {}

std::string_view Ceilings::Name(Ceiling ceiling) const {
  if (ceiling == Ceiling::kDram) return loops_.read == nullptr ? "" : "dram";
  const char* name = LoopOf(loops_, ceiling).name;
  return name == nullptr ? "" : name;
}

// Each thread does pieces until the time is over: one that starts late or is disturbed does fewer,
// as it would in a kernel.
double Ceilings::RunUntilDeadline(const std::function<int64_t(int worker)>& piece) {
  std::atomic<int64_t> work{0};
  const Stopwatch clock;
  pool_.ParallelFor(pool_.threads(), [&](int64_t task, int /*worker*/) {
    int64_t done = 0;
    do {
      done += piece(static_cast<int>(task));
    } while (clock.Seconds() < effort_.repeat_seconds);
    work += done;
  });
  return static_cast<double>(work) / clock.Seconds();
}

double Ceilings::MeasureOnce(Ceiling ceiling) {
  ATOM_CHECK(Has(ceiling), "no loop for ceiling {}", static_cast<int>(ceiling));
  if (ceiling != Ceiling::kDram) {
    const CeilingLoop& loop = LoopOf(loops_, ceiling);
    return RunUntilDeadline([&](int /*worker*/) {
      loop.run(kPieceIterations);
      return kPieceIterations * loop.work;
    });
  }
  if (memory_ == nullptr) memory_ = std::make_unique<ProbeMemory>(effort_.probe_bytes);
  // Each thread reads its own part from end to end, over and over.
  const int64_t part = memory_->bytes() / pool_.threads() / kPieceBytes * kPieceBytes;
  ATOM_CHECK(part > 0, "{} bytes for {} threads", memory_->bytes(), pool_.threads());
  return RunUntilDeadline([&](int worker) {
    int64_t& next = next_[static_cast<size_t>(worker)];
    loops_.read(memory_->data() + worker * part + next, kPieceBytes);
    next = (next + kPieceBytes) % part;
    return kPieceBytes;
  });
}

double Ceilings::Measure(Ceiling ceiling) {
  MeasureOnce(ceiling);  // wakes the threads, touches the memory
  std::vector<double> rates;
  for (int i = 0; i < effort_.repeats; ++i) rates.push_back(MeasureOnce(ceiling));
  return Median(std::move(rates));
}

}  // namespace atom::bench
