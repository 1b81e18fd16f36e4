#include "atom/bench/serving/service_url.h"

#include <gtest/gtest.h>

namespace atom::bench {
namespace {

TEST(ServiceUrlTest, TakesUrlsApart) {
  const ServiceUrl plain = ParseServiceUrl("http://localhost:8080").value();
  EXPECT_EQ(plain.host, "localhost");
  EXPECT_EQ(plain.port, 8080);
  EXPECT_EQ(plain.path, "");
  EXPECT_EQ(plain.HostHeader(), "localhost:8080");
  const ServiceUrl proxied = ParseServiceUrl("http://host/a/b//").value();
  EXPECT_EQ(proxied.port, 80);
  EXPECT_EQ(proxied.path, "/a/b");
  const ServiceUrl v6 = ParseServiceUrl("http://[::1]:81/").value();
  EXPECT_EQ(v6.host, "::1");
  EXPECT_EQ(v6.port, 81);
  EXPECT_EQ(v6.HostHeader(), "[::1]:81");
  EXPECT_EQ(ParseServiceUrl("http://[::1]").value().port, 80);
}

TEST(ServiceUrlTest, RefusesWhatIsNone) {
  for (const char* text : {"", "localhost:8080", "https://host", "http://", "http://:80",
                           "http://host:", "http://host:0", "http://host:65536", "http://host:8x",
                           "http://[::1", "http://[::1]x:80", "http://user@host", "http://a b"}) {
    const Result<ServiceUrl> url = ParseServiceUrl(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_NE(url.error().message.find("http://127.0.0.1:8080"), std::string::npos);
  }
}

}  // namespace
}  // namespace atom::bench
