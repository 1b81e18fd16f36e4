// One row at a time: a group of CTAs edits it, finds its largest value and, where that is not the
// answer, the sum of weights that is kept and the token in which the running sum reaches
// uniform · sum. Each of these is a search by histogram (histogram.cuh) over buckets of
//
//   the distance below the largest value, 2,048 of equal width    kept for all searches of a row
//   bits 31…21, 20…10, 9…0 of the inverted order of the value     inside one bucket of the last
#include <algorithm>

#include "atom/kernels/cuda/sampling/histogram.cuh"
#include "atom/kernels/cuda/sampling/launch.h"
#include "atom/kernels/cuda/sampling/ranked_token.cuh"

namespace atom::kernels::cuda::sampling {
namespace {

struct SharedState {
  Histogram distances;
  Histogram digits;
  SearchScratch search;
  uint64_t warps[kThreads / 32];
  uint64_t likeliest;
};

/// This CTA's part of the row that its group works on.
struct Slice {
  const float* values;
  int begin, end;
};

__device__ float Edited(float logit, const LogitEdit& edit) {
  const float scaled =
      logit > 0.0f ? __fdiv_rn(logit, edit.penalty) : __fmul_rn(logit, edit.penalty);
  return __fadd_rn(scaled, edit.bias);
}

/// What is not allowed is -infinity, what is allowed lies above it.
__device__ float Masked(const SampleCall& call, const TokenChoice& choice, int id, float logit) {
  if (choice.words == 0) return logit;
  const uint64_t word = id / 64 < choice.words ? call.allowed[choice.first_word + id / 64] : 0;
  if ((word >> (id % 64) & 1) == 0) return -CUDART_INF_F;
  return logit > -CUDART_MAX_NORMAL_F ? logit : -CUDART_MAX_NORMAL_F;
}

__device__ void CopyEdited(const SampleCall& call, const TokenChoice& choice, const float* logits,
                           float* to, int begin, int end) {
  for (int id = begin + static_cast<int>(threadIdx.x); id < end; id += kThreads) {
    to[id] = Masked(call, choice, id, logits[id]);
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < choice.edits; i += kThreads) {
    const LogitEdit edit = call.edits[choice.first_edit + i];
    if (edit.id < begin || edit.id >= end) continue;
    to[edit.id] = Masked(call, choice, edit.id, Edited(logits[edit.id], edit));
  }
  __syncthreads();
}

__device__ uint64_t FindLikeliest(const Group& group, SharedState& shared, const Slice& slice) {
  uint64_t best = 0;
  ForEachLogit<kThreads>(slice.values, slice.begin, slice.end, [&](uint32_t id, float z) {
    const uint64_t ranked = RankedToken(z, id);
    best = ranked > best ? ranked : best;
  });
  best = WarpMax(best);
  if (threadIdx.x % 32 == 0) shared.warps[threadIdx.x / 32] = best;
  __syncthreads();
  best = WarpMax(shared.warps[threadIdx.x % (kThreads / 32)]);
  if (threadIdx.x == 0) shared.likeliest = best;
  group.Sync();
  for (int peer = 0; peer < group.size; ++peer) {
    const uint64_t other = *group.At(&shared.likeliest, peer);
    best = other > best ? other : best;
  }
  return best;
}

/// exp((z − largest) / temperature) as integers, and the bucket of a distance.
struct Weights {
  float largest;
  float buckets;  ///< per unit of distance
  double inverse_temperature;
  double min_p;

  __device__ Weights(const TokenChoice& choice, float maximum)
      : largest(maximum),
        buckets(kBuckets / kReach / choice.temperature),
        inverse_temperature(1.0 / double{choice.temperature}),
        min_p(choice.min_p) {}

  /// 0: the token has no weight, or less than min_p.
  __device__ uint64_t operator()(float z) const {
    double weight = 1.0;
    if (z != largest) {
      const double x = (double{z} - double{largest}) * inverse_temperature;
      if (!(x > -double{kReach})) return 0;
      weight = exp(x);
    }
    if (weight < min_p) return 0;
    return __double2ull_rn(weight * double(uint64_t{1} << kWeightBits));
  }

  /// Never falls as z falls.
  __device__ int Bucket(float z) const {
    if (z == largest) return 0;
    return min(__float2int_rd((largest - z) * buckets), kBuckets - 1);
  }

 private:
  static constexpr float kReach = 29.25f;  ///< exp(−kReach) is less than half a unit of weight
};

/// Tokens of one value: what comes before them, and they.
struct Tied {
  uint32_t order = 0;
  Tally before, in;

  __device__ uint64_t weight() const { return in.mass / in.count; }
};

/// The tokens with which the running sum reaches a threshold that the whole row reaches.
__device__ Tied Reach(const Group& group, SharedState& shared, const Slice& slice,
                      const Weights& weights, Measure measure, uint64_t threshold) {
  Place place = Find(group, shared.distances, shared.search, measure, threshold);
  Tally before = place.before;
  const int distance = place.bucket;
  uint32_t digits = 0;  // of ~order, from the top
  for (int bits = 0; bits < 32;) {
    const int width = bits < 22 ? 11 : 10;
    const int shift = 32 - bits - width;
    shared.digits.Clear();
    ForEachLogit<kThreads>(slice.values, slice.begin, slice.end, [&](uint32_t, float z) {
      if (weights.Bucket(z) != distance) return;
      const uint32_t inverted = ~Order(z);
      if (bits > 0 && inverted >> (32 - bits) != digits) return;
      if (const uint64_t weight = weights(z); weight > 0) {
        shared.digits.Add(static_cast<int>(inverted >> shift & ((1u << width) - 1)), weight);
      }
    });
    place = Find(group, shared.digits, shared.search, measure, threshold - Of(before, measure));
    before = before + place.before;
    digits = digits << width | static_cast<uint32_t>(place.bucket);
    bits += width;
  }
  return {~digits, before, place.in};
}

/// The n-th token of a value, by rising id. Threads hold consecutive ids.
__device__ void WriteTied(const Group& group, SharedState& shared, const Slice& slice,
                          uint32_t order, uint64_t n, int32_t* token, int32_t* slot) {
  const int run = (slice.end - slice.begin + kThreads - 1) / kThreads;
  const int begin = min(slice.begin + static_cast<int>(threadIdx.x) * run, slice.end);
  const int end = min(begin + run, slice.end);
  Tally mine;
  for (int id = begin; id < end; ++id) mine.count += Order(Rank(slice.values[id])) == order;
  const Tally in_slice = ScanThreads(group, shared.search, mine);
  const Ranges ranges = ReadRanges(group, shared.search, Measure::kCount, n + 1);
  const uint64_t before = in_slice.count + ranges.before.count;
  if (before > n || before + mine.count <= n) return;
  uint64_t left = n - before;
  for (int id = begin; id < end; ++id) {
    if (Order(Rank(slice.values[id])) != order) continue;
    if (left-- > 0) continue;
    *token = id;
    if (slot != nullptr) *slot = id;
    return;
  }
}

/// Where the running sum reaches the place that `uniform` names; false: the likeliest token is it.
__device__ bool ChooseByWeight(const Group& group, SharedState& shared, const Slice& slice,
                               const TokenChoice& choice, const Weights& weights, int vocabulary,
                               Tied* tied, uint64_t* index) {
  shared.distances.Clear();
  ForEachLogit<kThreads>(slice.values, slice.begin, slice.end, [&](uint32_t, float z) {
    if (const uint64_t weight = weights(z); weight > 0) {
      shared.distances.Add(weights.Bucket(z), weight);
    }
  });
  Tally kept = Find(group, shared.distances, shared.search, Measure::kCount, ~uint64_t{0}).total;
  if (kept.count == 0) return false;
  const auto top_k = static_cast<uint64_t>(choice.top_k > 0 ? choice.top_k : vocabulary);
  if (top_k < kept.count) {
    const Tied last = Reach(group, shared, slice, weights, Measure::kCount, top_k);
    kept.mass = last.before.mass + (top_k - last.before.count) * last.weight();
  }
  if (choice.top_p < 1.0f) {
    const double enough = ceil(double{choice.top_p} * static_cast<double>(kept.mass));
    uint64_t threshold = enough >= 1.0 ? static_cast<uint64_t>(enough) : 1;
    threshold = min(threshold, kept.mass);
    const Tied last = Reach(group, shared, slice, weights, Measure::kMass, threshold);
    const uint64_t weight = last.weight();
    kept.mass = last.before.mass + (threshold - last.before.mass + weight - 1) / weight * weight;
  }
  const auto target = static_cast<uint64_t>(choice.uniform * static_cast<double>(kept.mass));
  const uint64_t threshold = min(target + 1, kept.mass);
  *tied = Reach(group, shared, slice, weights, Measure::kMass, threshold);
  *index = (threshold - tied->before.mass - 1) / tied->weight();
  return true;
}

__global__ void __launch_bounds__(kThreads) SampleKernel(SampleCall call) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<SharedState*>(memory);
  const Group group;
  const int index = static_cast<int>(blockIdx.x) / group.size;
  const int groups = static_cast<int>(gridDim.x) / group.size;
  const int vocabulary = call.logits.vocabulary;
  const int part = ((vocabulary + group.size - 1) / group.size + 3) / 4 * 4;
  const int begin = min(group.rank * part, vocabulary), end = min(begin + part, vocabulary);
  for (int i = index; i < call.rows; i += groups) {
    const TokenChoice choice = call.choices[i];
    const float* logits = call.logits.data + choice.row * call.logits.stride;
    Slice slice = {logits, begin, end};
    if (choice.edits > 0 || choice.words > 0) {
      float* edited = call.workspace + index * PaddedVocabulary(vocabulary);
      CopyEdited(call, choice, logits, edited, begin, end);
      slice.values = edited;
    }
    const uint64_t likeliest = FindLikeliest(group, shared, slice);
    int32_t* token = call.tokens + choice.row;
    int32_t* slot = choice.slot >= 0 ? call.slots + choice.slot : nullptr;
    Tied tied;
    uint64_t n = 0;
    const bool greedy = choice.temperature <= 0.0f || choice.top_k == 1;
    if (!greedy && ChooseByWeight(group, shared, slice, choice, Weights(choice, LogitOf(likeliest)),
                                  vocabulary, &tied, &n)) {
      WriteTied(group, shared, slice, tied.order, n, token, slot);
    } else if (group.rank == 0 && threadIdx.x == 0) {
      *token = TokenOf(likeliest);
      if (slot != nullptr) *slot = *token;
    }
    group.Sync();  // no CTA's shared memory changes, or ends, while another reads it
  }
}

}  // namespace

cudaError_t EnqueueSample(const SampleCall& call, int multiprocessors, cudaStream_t stream) {
  int device = 0, clusters = 0;
  if (cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
  if (cudaError_t error = cudaDeviceGetAttribute(&clusters, cudaDevAttrClusterLaunch, device);
      error != cudaSuccess) {
    return error;
  }
  // As many CTAs a row as there are for all rows, while each has enough to do.
  int size = clusters != 0 ? 8 : 1;
  while (size > 1 &&
         (call.rows * size > multiprocessors || call.logits.vocabulary / size < 4 * kThreads)) {
    size /= 2;
  }
  const int groups = std::min(call.rows, kGroupsPerMultiprocessor * multiprocessors / size);
  if (cudaError_t error =
          cudaFuncSetAttribute(SampleKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(sizeof(SharedState)));
      error != cudaSuccess) {
    return error;
  }
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = static_cast<unsigned>(size);
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(groups * size));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = sizeof(SharedState);
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = clusters != 0 ? 1 : 0;
  return cudaLaunchKernelEx(&config, SampleKernel, call);
}

}  // namespace atom::kernels::cuda::sampling
