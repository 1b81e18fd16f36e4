// Loaded into the program (LD_PRELOAD): a disk that is full once ATOM_TEST_DISK_BYTES bytes have
// been written to files. Then every write to a file fails with ENOSPC, as it does where a real disk
// is full; pipes and terminals go on.
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

extern "C" __attribute__((visibility("default"))) ssize_t write(int file, const void* bytes,
                                                                size_t count) {
  using Write = ssize_t (*)(int, const void*, size_t);
  static const auto real_write = reinterpret_cast<Write>(dlsym(RTLD_NEXT, "write"));
  static const char* limit = getenv("ATOM_TEST_DISK_BYTES");
  static std::atomic<long long> left = limit == nullptr ? 0 : atoll(limit);
  struct stat info {};
  if (limit != nullptr && fstat(file, &info) == 0 && S_ISREG(info.st_mode)) {
    if (left.fetch_sub(static_cast<long long>(count)) < static_cast<long long>(count)) {
      left = 0;
      errno = ENOSPC;
      return -1;
    }
  }
  return real_write(file, bytes, count);
}
