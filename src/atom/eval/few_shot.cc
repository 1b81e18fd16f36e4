#include "atom/eval/few_shot.h"

#include <cmath>
#include <numeric>
#include <unordered_set>

#include "atom/core/check.h"

namespace atom::eval {
namespace {

constexpr uint64_t kSeed = 1234;  // the harness's default for examples

std::string Solved(const ChoiceItem& item) {
  const Choice& right = item.choices[static_cast<size_t>(item.gold)];
  // The harness parts context and answer by a space; a single continuation brings its own besides.
  const std::string_view gap = item.choices.size() == 1 ? " " : "";
  return fmt::format("{}{}{}\n\n", right.context, gap, right.continuation);
}

/// `count` examples for `item`.
std::vector<const ChoiceItem*> Draw(const std::vector<ChoiceItem>& pool, const ChoiceItem& item,
                                    bool apart, int64_t count, PythonRandom& random) {
  std::vector<const ChoiceItem*> drawn;
  for (const int64_t i : PythonSample(random, std::ssize(pool), apart ? count : count + 1)) {
    const ChoiceItem& example = pool[static_cast<size_t>(i)];
    if (std::ssize(drawn) < count && (apart || example != item)) drawn.push_back(&example);
  }
  if (std::ssize(drawn) == count) return drawn;
  // More than one copy of the item was drawn: again, from the others.
  std::vector<const ChoiceItem*> others;
  for (const ChoiceItem& example : pool) {
    if (example != item) others.push_back(&example);
  }
  drawn.clear();
  if (std::ssize(others) < count) return drawn;
  for (const int64_t i : PythonSample(random, std::ssize(others), count)) {
    drawn.push_back(others[static_cast<size_t>(i)]);
  }
  return drawn;
}

}  // namespace

std::vector<int64_t> PythonSample(PythonRandom& random, int64_t n, int64_t count) {
  ATOM_CHECK(count >= 0 && count <= n, "{} of {}", count, n);
  // A small population is a list that shrinks; of a large one, what was drawn is remembered.
  double list_at_most = 21;
  if (count > 5) {
    const double power = std::ceil(std::log(static_cast<double>(count * 3)) / std::log(4.0));
    list_at_most += std::pow(4.0, power);
  }
  std::vector<int64_t> result;
  if (static_cast<double>(n) <= list_at_most) {
    std::vector<int64_t> left(static_cast<size_t>(n));
    std::iota(left.begin(), left.end(), 0);
    for (int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<size_t>(random.RandInt(0, n - i - 1));
      result.push_back(left[at]);
      left[at] = left[static_cast<size_t>(n - i - 1)];
    }
    return result;
  }
  std::unordered_set<int64_t> seen;
  while (std::ssize(result) < count) {
    const int64_t at = random.RandInt(0, n - 1);
    if (seen.insert(at).second) result.push_back(at);
  }
  return result;
}

Status AddShots(const std::vector<ChoiceItem>& pool, const ShotOptions& options,
                std::vector<ChoiceItem>& items) {
  const int64_t wanted = options.apart ? options.shots : options.shots + 1;
  if (std::ssize(pool) < wanted) {
    return MakeError("{}: holds {} items, expected at least {} for {} examples", options.source,
                     pool.size(), wanted, options.shots);
  }
  PythonRandom random(kSeed);
  for (ChoiceItem& item : items) {
    std::string examples;
    const std::vector<const ChoiceItem*> drawn =
        Draw(pool, item, options.apart, options.shots, random);
    if (drawn.empty()) {
      return MakeError("{}: holds copies of one item, expected {} others", options.source,
                       options.shots);
    }
    for (const ChoiceItem* example : drawn) examples += Solved(*example);
    for (Choice& choice : item.choices) choice.context.insert(0, examples);
  }
  return {};
}

}  // namespace atom::eval
