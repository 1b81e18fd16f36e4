// `atom chat` as a person meets it, at a terminal: Ctrl-C, errors, the end.
#include <array>
#include <csignal>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "tests/cli/program.h"
#include "tests/tiny_model.h"

namespace atom::cli {
namespace {

constexpr std::string_view kCtrlC = "\x03";
constexpr std::string_view kCtrlD = "\x04";

/// The program at a terminal of its own.
class Terminal {
 public:
  explicit Terminal(const std::string& arguments) {
    child_ = forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (child_ == 0) {
      const std::string command = fmt::format("exec {} {}", ATOM_PROGRAM, arguments);
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
  }
  ~Terminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(terminal_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void Type(std::string_view keys) const {
    EXPECT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  /// What is shown up to `end` and with it; what there is after half a minute of silence, or if the
  /// program ends.
  std::string ReadUntil(std::string_view end) {
    size_t found = 0;
    while ((found = shown_.find(end)) == std::string::npos && ReadSome()) {
    }
    std::string read = shown_.substr(0, found == std::string::npos ? found : found + end.size());
    shown_.erase(0, read.size());
    return read;
  }
  /// Waits until something is shown.
  void AwaitOutput() { EXPECT_TRUE(!shown_.empty() || ReadSome()); }
  /// Of its end: the exit code.
  int Wait() {
    while (ReadSome()) {
    }
    int status = 0;
    waitpid(std::exchange(child_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  bool ReadSome() {
    pollfd ready = {.fd = terminal_, .events = POLLIN, .revents = 0};
    std::array<char, 4096> buffer;
    if (poll(&ready, 1, 30'000) <= 0) return false;
    const ssize_t got = read(terminal_, buffer.data(), buffer.size());
    if (got > 0) shown_.append(buffer.data(), static_cast<size_t>(got));
    return got > 0;
  }

  int terminal_ = -1;
  pid_t child_ = 0;
  std::string shown_;
};

class ChatTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends;
    if (openpty(&ends[0], &ends[1], nullptr, nullptr, nullptr) != 0) {
      GTEST_SKIP() << "no terminal can be opened here (is /dev/pts mounted?)";
    }
    for (const int end : ends) close(end);
    std::filesystem::create_directory(folder_ / "model");
    tests::WriteTinyModel({.context = 8192}, folder_ / "model");
  }
  std::string Arguments(int context) const {
    return fmt::format("chat {} --template plain --ignore-eos --threads 1 --context {} -n {}",
                       (folder_ / "model").string(), context, context - 40);
  }
  tests::TemporaryFolder folder_;
};

constexpr std::string_view kPrompt = "\n> ";

TEST_F(ChatTest, CtrlCEndsAnAnswerAndThenTheProgram) {
  Terminal chat(Arguments(8192));
  EXPECT_TRUE(chat.ReadUntil(kPrompt).ends_with(kPrompt));
  for (int turn = 0; turn < 2; ++turn) {
    chat.Type("hi\n");
    chat.ReadUntil("hi\r\n");
    chat.AwaitOutput();
    chat.Type(kCtrlC);
    const std::string answer = chat.ReadUntil(kPrompt);
    EXPECT_TRUE(answer.ends_with(kPrompt)) << answer;
    EXPECT_LT(answer.size(), 8000u) << "at least a byte a token, had it gone on to its end";
  }
  chat.Type(kCtrlC);
  EXPECT_EQ(chat.Wait(), 128 + SIGINT);
}

TEST_F(ChatTest, CtrlDEndsItWell) {
  Terminal chat(Arguments(64));
  chat.ReadUntil(kPrompt);
  chat.Type("hi\n");
  EXPECT_TRUE(chat.ReadUntil(kPrompt).ends_with(kPrompt));
  chat.Type(kCtrlD);
  EXPECT_EQ(chat.Wait(), 0);
}

TEST_F(ChatTest, AnErrorEndsATurn) {
  Terminal chat(Arguments(64));
  chat.ReadUntil(kPrompt);
  chat.Type(std::string(200, 'x') + "\n");
  const std::string error = chat.ReadUntil(kPrompt);
  EXPECT_NE(error.find("atom: "), std::string::npos) << error;
  chat.Type("hi\n");
  const std::string answer = chat.ReadUntil(kPrompt);
  EXPECT_TRUE(answer.ends_with(kPrompt)) << answer;
  EXPECT_EQ(answer.find("atom: "), std::string::npos) << answer;
  chat.Type(kCtrlD);
  EXPECT_EQ(chat.Wait(), 1) << "one turn had an error";
}

}  // namespace
}  // namespace atom::cli
