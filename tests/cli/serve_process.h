// `atom serve` as a process of its own: started on a free port, asked over HTTP, sent signals.
#pragma once

#include <csignal>
#include <cstdio>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/server/http_client.h"
#include "tests/soon.h"

namespace atom::cli {

class ServeProcess {
 public:
  /// `before` is shell that runs first, `arguments` follow "atom serve" and may redirect.
  explicit ServeProcess(const std::string& arguments, const std::string& before = "") {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const std::string command =
        fmt::format("{} exec {} serve {} --port 0", before, ATOM_PROGRAM, arguments);
    child_ = fork();
    if (child_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      close(ends[0]);
      close(ends[1]);
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    out_ = fdopen(ends[0], "r");
    char line[4096];
    while (port_ == 0 && fgets(line, sizeof(line), out_) != nullptr) {
      const std::string text = line;
      if (text.starts_with("serving ")) port_ = std::stoi(text.substr(text.rfind(':') + 1));
    }
    EXPECT_GT(port_, 0) << "the server did not start";
  }
  ~ServeProcess() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    fclose(out_);
  }
  ServeProcess(const ServeProcess&) = delete;
  ServeProcess& operator=(const ServeProcess&) = delete;

  int port() const { return port_; }
  pid_t id() const { return child_; }
  void Signal(int number) const { kill(child_, number); }
  /// Of its end, if that comes soon: the exit code.
  std::optional<int> Wait() {
    int status = 0;
    if (!tests::Soon([&] { return waitpid(child_, &status, WNOHANG) == child_; })) return {};
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  /// The status of one request on a connection of its own.
  int Ask(const std::string& request) const {
    server::HttpClient client(port_);
    client.Send(request);
    return server::StatusOf(client.ReadResponse());
  }

 private:
  pid_t child_ = 0;
  FILE* out_ = nullptr;
  int port_ = 0;
};

}  // namespace atom::cli
