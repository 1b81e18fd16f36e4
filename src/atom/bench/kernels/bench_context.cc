#include "atom/bench/kernels/bench_context.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "atom/core/check.h"
#include "atom/core/cpu_info.h"
#include "atom/kernels/registry.h"

namespace atom::bench {
namespace {

/// What bounds the same work on a card (CudaCeilings).
std::string_view CardCeiling(Ceiling ceiling) {
  switch (ceiling) {
    case Ceiling::kInteger:
      return "wgmma_s8";
    case Ceiling::kFma:
    case Ceiling::kBf16:
      return "wgmma_bf16";
    case Ceiling::kDram:
      return "dram";
  }
  return "";
}

}  // namespace

Result<std::unique_ptr<BenchContext>> BenchContext::Make(const std::string& backend, int threads,
                                                         const Effort& effort) {
  const Result<CpuIsa> isa = ChooseCpuIsa();
  if (!isa.ok()) return isa.error();
  // As the backend does, so that the two agree.
  const int resolved = threads == 0 ? ThreadPool::DefaultThreads() : threads;
  Result<std::unique_ptr<kernels::Backend>> made =
      kernels::MakeBackend(backend, {.threads = resolved});
  if (!made.ok()) return made.error();
  std::unique_ptr<BenchContext> context(
      new BenchContext(std::move(made).value(), *isa, resolved, effort));
  if (backend == "cuda") {
    const Result<std::unique_ptr<kernels::CudaBench>> bench = kernels::MakeCudaBench();
    if (!bench.ok()) return bench.error();
    context->card_ = (*bench)->card();
  }
  return context;
}

std::string_view BenchContext::Name(Ceiling ceiling) const {
  return card_ ? CardCeiling(ceiling) : ceilings_.Name(ceiling);
}

double BenchContext::MeasureOnce(Ceiling ceiling) {
  if (!card_) return ceilings_.MeasureOnce(ceiling);
  for (const auto& [name, rate] : card_->ceilings) {
    if (name == CardCeiling(ceiling)) return rate;
  }
  ATOM_CHECK(false, "no ceiling {} of the card", CardCeiling(ceiling));
}

Measured BenchContext::Measure(Ceiling ceiling, double work, const std::function<void()>& call) {
  const bool known = Has(ceiling);
  std::vector<Sample> samples;
  std::vector<double> rates;
  TimeRepeat(effort_.repeat_seconds / 4, call);  // scratch grows, spinning threads of others stop
  for (int i = 0; i < effort_.repeats; ++i) {
    if (known) rates.push_back(MeasureOnce(ceiling));
    samples.push_back({work, TimeRepeat(effort_.repeat_seconds, call)});
  }
  if (known) rates.push_back(MeasureOnce(ceiling));
  return Summarize(ceiling, samples, rates);
}

Measured BenchContext::Summarize(Ceiling ceiling, const std::vector<Sample>& samples,
                                 const std::vector<double>& rates) const {
  ATOM_CHECK(rates.empty() || rates.size() == samples.size() + 1, "{} samples, {} rates",
             samples.size(), rates.size());
  std::vector<double> seconds;
  std::vector<double> shares;
  for (size_t i = 0; i < samples.size(); ++i) {
    seconds.push_back(samples[i].seconds);
    if (rates.empty()) continue;
    const double rate = (rates[i] + rates[i + 1]) / 2.0;
    shares.push_back(samples[i].work / samples[i].seconds / rate);
  }
  Measured measured{.seconds = Median(std::move(seconds)), .ceiling = std::string(Name(ceiling))};
  if (!rates.empty()) {
    measured.ceiling_rate = Median(rates);
    measured.ceiling_fraction = Median(std::move(shares));
  }
  return measured;
}

std::string BenchContext::Header() {
  std::string text =
      fmt::format("{}\nbackend {} ({}), {} {}\nceilings:", CpuModelName(), backend_->name(),
                  CpuIsaName(isa_), threads(), threads() == 1 ? "thread" : "threads");
  rates_.clear();
  if (card_) {
    text = fmt::format("{}, {} multiprocessors\nbackend cuda\nceilings:", card_->name,
                       card_->multiprocessors);
    rates_ = card_->ceilings;
    for (const auto& [name, rate] : rates_)
      text += fmt::format("  {} {:.1f} G/s", name, rate / 1e9);
    return text + "\n";
  }
  for (const Ceiling ceiling : kCeilings) {
    if (!ceilings_.Has(ceiling)) continue;
    const double rate = ceilings_.Measure(ceiling);
    rates_.emplace_back(ceilings_.Name(ceiling), rate);
    text += fmt::format("  {} {:.1f} {}", ceilings_.Name(ceiling), rate / 1e9,
                        ceiling == Ceiling::kDram ? "GB/s" : "GOP/s");
  }
  return text + "\n";
}

void BenchContext::Describe(nlohmann::json& row) const {
  row["backend"] = backend_->name();
  row["isa"] = CpuIsaName(isa_);
  row["threads"] = ceilings_.threads();
}

nlohmann::json BenchContext::Report(nlohmann::json rows) const {
  nlohmann::json report = {{"cpu", CpuModelName()}, {"ceilings", nlohmann::json::object()}};
  if (card_) report["card"] = card_->name;
  for (const auto& [name, rate] : rates_) report["ceilings"][name] = rate;
  Describe(report);
  report["rows"] = std::move(rows);
  return report;
}

void ToJson(const Measured& measured, nlohmann::json& row) {
  row["seconds"] = measured.seconds;
  row["ceiling"] = measured.ceiling;
  row["ceiling_rate"] = measured.ceiling_rate;
  row["ceiling_fraction"] = measured.ceiling_fraction;
}

void ToJson(const Ratios& ratios, nlohmann::json& row) {
  row["ratio"] = nlohmann::json::object();
  for (const auto& [name, value] : ratios) row["ratio"][name] = value;
}

}  // namespace atom::bench
