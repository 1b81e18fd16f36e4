// The life of a serving process: signals under load, files that go away, a log that cannot be
// written, few descriptors.
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cli/program.h"
#include "tests/cli/serve_process.h"
#include "tests/tiny_model.h"

namespace atom::cli {
namespace {

using server::Get;
using server::HttpClient;
using server::Post;

const std::string kShort = Post("/v1/completions", R"({"prompt": "x", "max_tokens": 3})");

std::string Stream(int tokens) {
  return Post("/v1/completions",
              fmt::format(R"({{"prompt": "x", "max_tokens": {}, "ignore_eos": true,
                               "stream": true}})",
                          tokens));
}

class ServeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(model());
    tests::WriteTinyModel({.context = 8192}, model());
  }
  std::filesystem::path model() const { return folder_ / "model"; }
  std::string Arguments() const {
    return fmt::format("{} --memory 1GiB --threads 1", model().string());
  }
  static std::string LogTo(const std::string& path) { return " 2>" + path; }

  static void AwaitDrain(const ServeProcess& server) {
    EXPECT_TRUE(tests::Soon([&] { return server.Ask(kShort) == 503; }));
    EXPECT_EQ(server.Ask(Get("/health")), 503);
  }

  tests::TemporaryFolder folder_;
};

TEST_F(ServeTest, TakesATokenizerFromElsewhere) {
  std::filesystem::rename(model() / "tokenizer.json", folder_ / "tokenizer.v1");
  const ServeProcess server(Arguments() + " --tokenizer " + (folder_ / "tokenizer.v1").string() +
                            LogTo(folder_ / "log"));
  EXPECT_EQ(server.Ask(kShort), 200);
}

TEST_F(ServeTest, SigtermLetsWhatRunsEnd) {
  const std::string log = folder_ / "log";
  ServeProcess server(Arguments() + LogTo(log));
  HttpClient running(server.port());
  running.Send(Stream(3000));
  running.ReadUntil("\n\n");
  server.Signal(SIGTERM);
  AwaitDrain(server);
  const std::string rest = running.ReadUntil("\r\n0\r\n\r\n");
  EXPECT_NE(rest.find("\"finish_reason\":\"length\""), std::string::npos);
  EXPECT_NE(rest.find("data: [DONE]"), std::string::npos);
  EXPECT_EQ(server.Wait(), 0);
  const std::string lines = ReadAll(log);
  EXPECT_NE(lines.find("200 length prompt="), std::string::npos) << lines;
  EXPECT_NE(lines.find(" 503 "), std::string::npos) << lines;
}

TEST_F(ServeTest, CtrlCDrainsToo) {
  ServeProcess server(Arguments() + LogTo("/dev/null"));
  HttpClient running(server.port());
  running.Send(Stream(3000));
  running.ReadUntil("\n\n");
  server.Signal(SIGINT);
  AwaitDrain(server);
  EXPECT_NE(running.ReadUntil("\r\n0\r\n\r\n").find("data: [DONE]"), std::string::npos);
  EXPECT_EQ(server.Wait(), 0);
}

/// How long a process that loads for ever, because its tokenizer is a pipe that nothing comes out
/// of, outlives a signal.
std::chrono::duration<double> LifeAfter(int signal_number, const std::filesystem::path& model) {
  const pid_t child = fork();
  if (child == 0) {
    execl(ATOM_PROGRAM, ATOM_PROGRAM, "serve", model.c_str(), "--port", "0", nullptr);
    _exit(99);
  }
  // There is somebody to write to once the child reads.
  const std::filesystem::path tokenizer = model / "tokenizer.json";
  int pipe = -1;
  EXPECT_TRUE(tests::Soon([&] {
    pipe = open(tokenizer.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return pipe >= 0;
  }));
  const auto start = std::chrono::steady_clock::now();
  kill(child, signal_number);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  const std::chrono::duration<double> life = std::chrono::steady_clock::now() - start;
  close(pipe);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + signal_number);
  return life;
}

TEST_F(ServeTest, SigtermEndsLoadingAtOnce) {
  const std::filesystem::path tokenizer = model() / "tokenizer.json";
  std::filesystem::remove(tokenizer);
  ASSERT_EQ(mkfifo(tokenizer.c_str(), 0600), 0);
  for (const int signal_number : {SIGTERM, SIGINT}) {
    // Whatever else the machine does makes a life longer, and not every life.
    EXPECT_TRUE(tests::Soon([&] { return LifeAfter(signal_number, model()).count() < 1.0; }));
  }
}

TEST_F(ServeTest, SigtermWaitsNoLongerThanItMay) {
  ServeProcess server(Arguments() + " --no-log --drain-timeout 0" + LogTo("/dev/null"));
  HttpClient running(server.port());
  running.Send(Stream(8000));
  running.ReadUntil("\n\n");
  server.Signal(SIGTERM);
  const std::string rest = running.ReadUntil("\r\n0\r\n\r\n");
  EXPECT_NE(rest.find("\"finish_reason\":\"abort\""), std::string::npos);
  EXPECT_EQ(server.Wait(), 0);
}

TEST_F(ServeTest, ASecondSigtermEndsAtOnce) {
  ServeProcess server(Arguments() + LogTo("/dev/null"));
  HttpClient running(server.port());
  running.Send(Stream(8000));
  running.ReadUntil("\n\n");
  server.Signal(SIGTERM);
  AwaitDrain(server);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 128 + SIGTERM);
  EXPECT_EQ(running.ReadToEnd().find("[DONE]"), std::string::npos);
}

TEST_F(ServeTest, TheModelsFilesMayGo) {
  ServeProcess server(Arguments() + LogTo("/dev/null"));
  std::filesystem::remove_all(model());
  EXPECT_EQ(server.Ask(kShort), 200);
  EXPECT_EQ(server.Ask(Post("/v1/chat/completions",
                            R"({"messages": [{"role": "user", "content": "x"}],
                                "max_tokens": 3})")),
            200);
  EXPECT_EQ(server.Ask(Get("/tokenizer_info")), 200);
  EXPECT_EQ(server.Ask(Get("/health")), 200);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
}

TEST_F(ServeTest, TheModelsFilesMayShrink) {
  ServeProcess server(Arguments() + LogTo("/dev/null"));
  std::filesystem::resize_file(model() / "model.safetensors", 0);
  EXPECT_EQ(server.Ask(kShort), 200);
  EXPECT_EQ(server.Ask(Get("/health")), 200);
}

TEST_F(ServeTest, ALogThatCannotBeWrittenStopsNothing) {
  const std::string pipe = folder_ / "pipe";
  for (const std::string& log : {std::string("/dev/full"), std::string("&-"), pipe}) {
    // A reader that opens the pipe and leaves.
    const std::string before = fmt::format("mkfifo {0}; (exec 3<{0}; exit) &", pipe);
    ServeProcess server(Arguments() + LogTo(log), log == pipe ? before : "");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(server.Ask(kShort), 200) << log;
    EXPECT_EQ(server.Ask(Get("/health")), 200) << log;
    if (log == "&-") {
      const std::string stream = fmt::format("/proc/{}/fd/2", server.id());
      EXPECT_EQ(std::filesystem::read_symlink(stream), "/dev/null") << "or it would be a client's";
    }
  }
}

TEST_F(ServeTest, FewDescriptorsAndManyIdleClients) {
  ServeProcess server(Arguments() + LogTo("/dev/null"), "ulimit -n 64;");
  std::vector<std::unique_ptr<HttpClient>> idle;
  for (int i = 0; i < 300; ++i) idle.push_back(std::make_unique<HttpClient>(server.port()));
  EXPECT_EQ(server.Ask(Get("/health")), 200);
  EXPECT_EQ(server.Ask(kShort), 200);
}

}  // namespace
}  // namespace atom::cli
