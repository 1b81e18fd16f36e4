// One line on stderr that shows how far a long job is and when it will end; silent when stderr is
// not a terminal, so that logs and pipes stay clean.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace atom {

class Progress {
 public:
  /// `label` says what is done, `total` how many steps it takes.
  Progress(std::string label, int64_t total);
  /// Clears the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of the steps are finished; `detail` is shown behind the bar.
  void Update(int64_t done, const std::string& detail = "");
  void Advance(int64_t steps = 1) { Update(done_ + steps); }

  /// What Update would draw: "label  [####----] 50 %  0:12 left  detail".
  static std::string Line(const std::string& label, int64_t done, int64_t total,
                          double elapsed_seconds, const std::string& detail);

 private:
  std::string label_;
  int64_t total_;
  int64_t done_ = 0;
  bool visible_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace atom
