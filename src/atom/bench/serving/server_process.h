// A server that the benchmark starts for itself: this program again, as `atom serve MODEL_DIR
// --port 0`, on a free port of the loopback. Ends with the object, or with the program.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "atom/core/result.h"

namespace atom::bench {

/// The address in a line like "serving NAME on http://127.0.0.1:8080"; empty if there is none.
std::string AddressInLine(const std::string& line);

class ServerProcess {
 public:
  /// Runs `command` (a program and its arguments) and waits until it prints its address.
  static Result<ServerProcess> Start(const std::vector<std::string>& command);
  ~ServerProcess();
  ServerProcess(ServerProcess&& other) noexcept;
  ServerProcess& operator=(ServerProcess&&) = delete;

  const std::string& url() const { return url_; }

 private:
  ServerProcess(pid_t pid, int output) : pid_(pid), output_(output) {}
  Status AwaitAddress();

  pid_t pid_;
  int output_;  // of its standard output: closed last, or the server would write into nothing
  std::string url_;
};

}  // namespace atom::bench
