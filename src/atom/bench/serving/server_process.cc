#include "atom/bench/serving/server_process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "atom/io/quote.h"

namespace atom::bench {

std::string AddressInLine(const std::string& line) {
  const size_t at = line.find("http://");
  if (!line.starts_with("serving ") || at == std::string::npos) return "";
  return line.substr(at, line.find_first_of(" \r\n", at) - at);
}

Result<ServerProcess> ServerProcess::Start(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::array<int, 2> pipe{};
  if (pipe2(pipe.data(), O_CLOEXEC) != 0) {
    return MakeError("cannot make a pipe: {}", std::strerror(errno));
  }
  const pid_t pid = fork();
  if (pid == 0) {   // from here to execv only what is safe after a fork
    setpgid(0, 0);  // Ctrl-C is for the benchmark, which ends the server itself
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(pipe[1], STDOUT_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(pipe[1]);
  if (pid < 0) {
    close(pipe[0]);
    return MakeError("cannot start {}: {}", command.front(), std::strerror(errno));
  }
  ServerProcess process(pid, pipe[0]);
  if (Status s = process.AwaitAddress(); !s.ok()) return s.error();
  return process;
}

Status ServerProcess::AwaitAddress() {
  std::string line;
  for (char c = 0; read(output_, &c, 1) == 1;) {
    if (c != '\n') {
      line += c;
      continue;
    }
    url_ = AddressInLine(line);
    if (!url_.empty()) return {};
    line.clear();
  }
  return MakeError("the server ended before it said \"serving NAME on http://HOST:PORT\"{}",
                   line.empty() ? "" : ", but " + io::Quote(line));
}

ServerProcess::ServerProcess(ServerProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      output_(std::exchange(other.output_, -1)),
      url_(std::move(other.url_)) {}

ServerProcess::~ServerProcess() {
  if (pid_ < 0) return;
  kill(pid_, SIGTERM);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  close(output_);
}

}  // namespace atom::bench
