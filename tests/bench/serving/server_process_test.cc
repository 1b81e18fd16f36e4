#include "atom/bench/serving/server_process.h"

#include <csignal>
#include <gtest/gtest.h>

namespace atom::bench {
namespace {

Result<ServerProcess> Shell(const std::string& script) {
  return ServerProcess::Start({"/bin/sh", "-c", script});
}

TEST(ServerProcessTest, ReadsTheAddressAndEndsTheServer) {
  pid_t pid = 0;
  {
    Result<ServerProcess> server =
        Shell("echo memory: 1 GiB; echo \"serving p on http://127.0.0.1:$$\"; exec sleep 60");
    ASSERT_TRUE(server.ok()) << server.error().message;
    const std::string& url = server->url();
    ASSERT_EQ(url.rfind("http://127.0.0.1:", 0), 0u) << url;
    pid = std::stoi(url.substr(url.rfind(':') + 1));
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST(ServerProcessTest, AServerThatEndsIsASentence) {
  const Result<ServerProcess> server = Shell("echo something else; printf half");
  ASSERT_FALSE(server.ok());
  EXPECT_NE(server.error().message.find("'half'"), std::string::npos) << server.error().message;
  EXPECT_FALSE(ServerProcess::Start({"/nonexistent"}).ok());
}

TEST(ServerProcessTest, OnlyTheServersOwnLineHasItsAddress) {
  EXPECT_EQ(AddressInLine("serving m on http://[::1]:80"), "http://[::1]:80");
  EXPECT_EQ(AddressInLine("serving m on http://a:1 now"), "http://a:1");
  EXPECT_EQ(AddressInLine("see http://a:1"), "");
  EXPECT_EQ(AddressInLine("serving nothing"), "");
}

}  // namespace
}  // namespace atom::bench
