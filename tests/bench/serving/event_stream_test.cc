#include "atom/bench/serving/event_stream.h"

#include <gtest/gtest.h>

namespace atom::bench {
namespace {

using Events = std::vector<std::string>;

const std::string kBody =
    "data: one\n\n: a comment\n\nevent: x\ndata:two\r\n\r\ndata: a\rdata: b\r\rdata\n\ndata: \n\n";
const Events kEvents = {"one", "two", "a\nb", ""};

TEST(EventStreamTest, GivesTheDataOfEveryEvent) {
  EventStream stream;
  EXPECT_EQ(stream.Push(kBody), kEvents);
}

TEST(EventStreamTest, PiecesDoNotMatter) {
  for (size_t first = 0; first <= kBody.size(); ++first) {
    EventStream stream;
    Events events = stream.Push(std::string_view(kBody).substr(0, first));
    const Events rest = stream.Push(std::string_view(kBody).substr(first));
    events.insert(events.end(), rest.begin(), rest.end());
    EXPECT_EQ(events, kEvents) << first;
  }
}

TEST(EventStreamTest, AnEventWithoutItsEmptyLineIsNone) {
  EventStream stream;
  EXPECT_EQ(stream.Push("data: half\n"), Events{});
  EXPECT_EQ(stream.Push("\n"), Events{"half"});
}

}  // namespace
}  // namespace atom::bench
