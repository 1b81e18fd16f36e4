// Which kernels run: the strongest that the processor has, or what ATOM_CPU_ISA pins; and on a
// processor without AVX, which an emulator stands for, the scalar ones, with the same results.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/core/cpu_info.h"

#include "tests/cli/program.h"
#include "tests/tiny_model.h"

namespace atom::cli {
namespace {

/// SSE4.2 and no AVX.
const std::string kOldProcessor = "qemu-x86_64 -cpu Nehalem";

std::string Pin(std::string_view isa) { return fmt::format("ATOM_CPU_ISA={}", isa); }

class IsaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(model());
    tests::WriteTinyModel({.layers = 1, .context = 48}, model());
    tests::WriteText(text(), tests::TinyText(600));
  }
  std::filesystem::path model() const { return folder_ / "model"; }
  std::filesystem::path text() const { return folder_ / "text.txt"; }

  Outcome Atom(const std::string& before, const std::string& arguments) const {
    return RunProgram(before, arguments, folder_ / "stderr");
  }
  std::string EvalArguments(const std::filesystem::path& dir) const {
    return fmt::format("eval {} --windows 1 --threads 2 --json - --ppl {}", dir.string(),
                       text().string());
  }
  static std::string GenerateArguments(const std::filesystem::path& dir) {
    return fmt::format("generate {} --prompt 'abc ' -n 4 --temperature 0 --ignore-eos --threads 2",
                       dir.string());
  }
  /// Every digit of the perplexity.
  double Perplexity(const std::string& before, const std::filesystem::path& dir) const {
    const Outcome run = Atom(before, EvalArguments(dir));
    EXPECT_EQ(run.exit_code, 0) << run.err;
    if (run.exit_code != 0) return -1.0;
    return nlohmann::json::parse(run.out).at("perplexity").at(0).at("ppl").get<double>();
  }

  tests::TemporaryFolder folder_;
};

TEST_F(IsaTest, EachPinIsTakenOrRefused) {
  for (const CpuIsa isa : AllCpuIsas()) {
    const std::string name(CpuIsaName(isa));
    const Outcome version = Atom(Pin(name), "--version");
    EXPECT_EQ(version.exit_code, 0);
    const Outcome run = Atom(Pin(name), GenerateArguments(model()));
    if (Supports(isa)) {
      EXPECT_NE(version.out.find("kernels: " + name + "\n"), std::string::npos) << version.out;
      EXPECT_EQ(run.exit_code, 0) << run.err;
    } else {
      const std::string sentence =
          fmt::format("ATOM_CPU_ISA={} is more than this processor supports ({})", name,
                      CpuIsaName(DetectCpuIsa()));
      EXPECT_NE(version.out.find(sentence), std::string::npos) << version.out;
      ExpectOneSentence(run, sentence);
    }
  }
  const Outcome version = Atom(Pin(""), "--version");  // nothing pinned
  EXPECT_NE(version.out.find(fmt::format("kernels: {}\n", CpuIsaName(DetectCpuIsa()))),
            std::string::npos);
  ExpectOneSentence(Atom(Pin("neon"), GenerateArguments(model())),
                    "ATOM_CPU_ISA=neon: expected one of scalar, avx2, avx-vnni, avx512, amx");
}

TEST_F(IsaTest, AProcessorWithoutAvxRunsTheScalarKernels) {
  const Outcome version = Atom(kOldProcessor, "--version");
  if (version.exit_code == 127) {
    GTEST_SKIP() << "there is no qemu-x86_64, which the Debian package qemu-user has";
  }
  ASSERT_EQ(version.exit_code, 0) << version.err;
  EXPECT_NE(version.out.find("kernels: scalar\n"), std::string::npos) << version.out;

  const std::string quantized = (folder_ / "q").string();
  const Outcome quantize =
      Atom("", fmt::format("quantize {} -o {} --calib {} --samples 2 --seqlen 48", model().string(),
                           quantized, text().string()));
  ASSERT_EQ(quantize.exit_code, 0) << quantize.err;
  for (const std::filesystem::path& dir : {model(), std::filesystem::path(quantized)}) {
    EXPECT_EQ(Perplexity(kOldProcessor, dir), Perplexity(Pin("scalar"), dir)) << dir;
    const Outcome old = Atom(kOldProcessor, GenerateArguments(dir));
    EXPECT_EQ(old.exit_code, 0) << old.err;
    EXPECT_EQ(old.out, Atom(Pin("scalar"), GenerateArguments(dir)).out) << dir;
  }
  ExpectOneSentence(Atom(Pin("avx2") + " " + kOldProcessor, GenerateArguments(model())),
                    "ATOM_CPU_ISA=avx2 is more than this processor supports (scalar)");
}

}  // namespace
}  // namespace atom::cli
