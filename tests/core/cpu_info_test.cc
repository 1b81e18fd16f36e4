// Which kernels processors get that this machine is not: by their features, as CPUID gives them.
#include "atom/core/cpu_info.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

namespace atom {
namespace {

constexpr CpuFeatures kHaswell = {.avx2 = true, .fma = true, .f16c = true};

CpuFeatures With512(CpuFeatures features) {
  features.avx512f = features.avx512bw = features.avx512dq = features.avx512vl = true;
  return features;
}
CpuFeatures WithVnni(CpuFeatures features) {
  features.avx512_vnni = true;
  return features;
}
CpuFeatures WithAvxVnni(CpuFeatures features) {
  features.avx_vnni = true;
  return features;
}

CpuFeatures WithAmx(CpuFeatures features) {
  features.amx_tile = features.amx_int8 = true;
  return features;
}

TEST(CpuInfo, EachProcessorGetsItsStrongestKernels) {
  const CpuFeatures skylake = With512(kHaswell);
  const CpuFeatures ice_lake = WithVnni(skylake);  // and Cascade Lake, Rocket Lake, Tiger Lake
  CpuFeatures zen4 = ice_lake;
  zen4.avx512_bf16 = true;
  const struct {
    const char* name;
    CpuFeatures features;
    CpuIsa strongest;
  } processors[] = {{"Nehalem", {}, CpuIsa::kScalar},
                    {"Haswell", kHaswell, CpuIsa::kAvx2},
                    {"Alder Lake", WithAvxVnni(kHaswell), CpuIsa::kAvxVnni},
                    {"Skylake-X", skylake, CpuIsa::kAvx2},
                    {"Ice Lake", ice_lake, CpuIsa::kAvx512},
                    {"Zen 4", zen4, CpuIsa::kAvx512},
                    {"Sapphire Rapids", WithAmx(WithAvxVnni(zen4)), CpuIsa::kAmx},
                    {"the same, tiles refused", WithAvxVnni(zen4), CpuIsa::kAvx512}};
  for (const auto& processor : processors) {
    EXPECT_EQ(StrongestIsa(processor.features), processor.strongest) << processor.name;
    EXPECT_EQ(ChooseCpuIsa(processor.features, "").value(), processor.strongest);
    for (const CpuIsa isa : AllCpuIsas()) {
      const Result<CpuIsa> pinned = ChooseCpuIsa(processor.features, CpuIsaName(isa));
      EXPECT_EQ(pinned.ok(), Supports(processor.features, isa)) << processor.name;
      EXPECT_EQ(pinned.ok() ? *pinned : isa, isa);
    }
  }
  // VNNI without BF16 is enough for the pin; AVX-VNNI is none of the 512-bit ones.
  EXPECT_TRUE(ChooseCpuIsa(ice_lake, "avx512").ok());
  EXPECT_FALSE(ChooseCpuIsa(ice_lake, "avx-vnni").ok());
  EXPECT_EQ(ChooseCpuIsa(skylake, "avx512").error().message,
            "ATOM_CPU_ISA=avx512 is more than this processor supports (avx2)");
}

TEST(CpuInfo, OneMissingFeatureIsEnough) {
  const CpuFeatures all = WithAmx(WithAvxVnni(WithVnni(With512(kHaswell))));
  for (bool CpuFeatures::*feature : {&CpuFeatures::amx_tile, &CpuFeatures::amx_int8}) {
    CpuFeatures features = all;
    features.*feature = false;
    EXPECT_EQ(StrongestIsa(features), CpuIsa::kAvx512);
    EXPECT_EQ(ChooseCpuIsa(features, "amx").error().message,
              "ATOM_CPU_ISA=amx is more than this processor supports (avx512)");
  }
  for (bool CpuFeatures::*feature :
       {&CpuFeatures::avx512f, &CpuFeatures::avx512bw, &CpuFeatures::avx512dq,
        &CpuFeatures::avx512vl, &CpuFeatures::avx512_vnni}) {
    CpuFeatures features = all;
    features.*feature = false;
    EXPECT_EQ(StrongestIsa(features), CpuIsa::kAvxVnni);
  }
  for (bool CpuFeatures::*feature : {&CpuFeatures::avx2, &CpuFeatures::fma, &CpuFeatures::f16c}) {
    CpuFeatures features = all;
    features.*feature = false;
    EXPECT_EQ(StrongestIsa(features), CpuIsa::kScalar);
  }
}

class ChooseCpuIsaTest : public ::testing::Test {
 protected:
  void TearDown() override { unsetenv("ATOM_CPU_ISA"); }
};

TEST_F(ChooseCpuIsaTest, TheBestUnlessPinned) {
  unsetenv("ATOM_CPU_ISA");
  ASSERT_TRUE(ChooseCpuIsa().ok());
  EXPECT_EQ(*ChooseCpuIsa(), DetectCpuIsa());
  setenv("ATOM_CPU_ISA", "scalar", 1);
  ASSERT_TRUE(ChooseCpuIsa().ok());
  EXPECT_EQ(*ChooseCpuIsa(), CpuIsa::kScalar);
}

TEST_F(ChooseCpuIsaTest, RefusesUnknownNames) {
  setenv("ATOM_CPU_ISA", "avx1024", 1);
  const Result<CpuIsa> chosen = ChooseCpuIsa();
  ASSERT_FALSE(chosen.ok());
  EXPECT_EQ(chosen.error().message,
            "ATOM_CPU_ISA=avx1024: expected one of scalar, avx2, avx-vnni, avx512, amx");
}

TEST(CpuInfo, Names) {
  EXPECT_EQ(CpuIsaName(CpuIsa::kScalar), "scalar");
  EXPECT_EQ(CpuIsaName(CpuIsa::kAvx2), "avx2");
  EXPECT_EQ(CpuIsaName(CpuIsa::kAvxVnni), "avx-vnni");
  EXPECT_EQ(CpuIsaName(CpuIsa::kAvx512), "avx512");
  EXPECT_EQ(CpuIsaName(CpuIsa::kAmx), "amx");
  EXPECT_FALSE(CpuModelName().empty());
}

TEST(CpuInfo, ThisProcessorRunsWhatItDetects) {
  EXPECT_TRUE(Supports(CpuIsa::kScalar));
  EXPECT_TRUE(Supports(DetectCpuIsa()));
}

}  // namespace
}  // namespace atom
