// A kernel that fails on the card takes the process's context with it: whatever the backend is
// asked afterwards is a DeviceError with one sentence, in a process of its own here. What the
// engine and the server make of it is in tests/engine/device_failure_test.cc and tests/server.
#include <cstdlib>
#include <fmt/format.h>

#include "atom/kernels/cuda_backend.h"
#include "atom/kernels/device_error.h"

#include "gtest/gtest.h"
#include "tests/kernels/cuda/cuda_test.h"
#include "tests/kernels/cuda/lost_arrival.h"

namespace atom::kernels::cuda {
namespace {

using CudaFailureDeathTest = CudaTest;

/// 0: all of it failed as it should.
int AskAfterAFault() {
  Result<std::unique_ptr<Backend>> backend = MakeCudaBackend({});
  if (!backend.ok()) return 1;
  const DeviceBuffer buffer = (*backend)->Allocate(256);
  (void)WaitForLostArrival();
  int failed = 0;
  const auto expect_failure = [&](const auto& call) {
    try {
      call();
    } catch (const DeviceError& error) {
      fmt::print(stderr, "{}\n", error.what());
      ++failed;
    }
  };
  std::array<std::byte, 256> host = {};
  expect_failure([&] { (*backend)->Sync(); });
  expect_failure([&] { (*backend)->Download(buffer.data(), host); });
  expect_failure([&] { (*backend)->Upload(host, buffer.data()); });
  expect_failure([&] { (void)(*backend)->Allocate(256); });
  return failed == 4 ? 0 : 2;
}

TEST_F(CudaFailureDeathTest, WhatComesBehindAFaultIsOneSentenceEach) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::exit(AskAfterAFault()), ::testing::ExitedWithCode(0),
              "the device is lost to this process");
}

}  // namespace
}  // namespace atom::kernels::cuda
