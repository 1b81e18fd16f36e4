// A client made of a socket, for sending what no library would send.
#pragma once

#include <arpa/inet.h>
#include <array>
#include <chrono>
#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

namespace atom::server {

class HttpClient {
 public:
  /// A socket that is not connected yet; its number is at least `least`.
  static int NewSocket(int least = 0) {
    const int low = socket(AF_INET, SOCK_STREAM, 0);
    if (low >= least) return low;
    const int high = fcntl(low, F_DUPFD, least);
    close(low);
    return high;
  }

  explicit HttpClient(int port, int receive_buffer = 0, int new_socket = NewSocket())
      : socket_(new_socket) {
    if (receive_buffer > 0) {
      setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    const timeval patience = {.tv_sec = 30, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~HttpClient() { Close(); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// False if the server has closed the connection meanwhile.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  /// As much of it as can be sent at once; nothing if the server has closed the connection.
  size_t SendSome(std::string_view bytes) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? static_cast<size_t>(sent) : 0;
  }
  void FinishSending() { shutdown(socket_, SHUT_WR); }
  void Close() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }

  /// Bytes until `end` has come, or the connection ends; what comes after it stays for later.
  std::string ReadUntil(std::string_view end) {
    while (true) {
      const size_t found = received_.find(end);
      if (found != std::string::npos) return Take(found + end.size());
      if (!Receive()) return Take(received_.size());
    }
  }
  /// The head and body of one response; the body must have a length. Empty if there is none.
  std::string ReadResponse() {
    std::string response = ReadUntil("\r\n\r\n");
    const size_t at = response.find("Content-Length: ");
    if (at == std::string::npos) return response;
    const size_t length = std::stoul(response.substr(at + 16));
    while (received_.size() < length && Receive()) {
    }
    return response + Take(length);
  }
  std::string ReadToEnd() {
    while (Receive()) {
    }
    return Take(received_.size());
  }

 private:
  bool Receive() {
    std::array<char, 65536> buffer;
    const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
    if (got <= 0) return false;
    received_.append(buffer.data(), static_cast<size_t>(got));
    return true;
  }
  std::string Take(size_t bytes) {
    bytes = std::min(bytes, received_.size());
    std::string taken = received_.substr(0, bytes);
    received_.erase(0, bytes);
    return taken;
  }

  int socket_;
  std::string received_;
};

inline std::string Post(std::string_view path, std::string_view body,
                        std::string_view headers = "") {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}"
      "Content-Length: {}\r\n\r\n{}",
      path, headers, body.size(), body);
}
inline std::string Get(std::string_view path, std::string_view headers = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, headers);
}
inline int StatusOf(const std::string& response) {
  return response.size() > 12 && response.starts_with("HTTP/1.1 ")
             ? std::stoi(response.substr(9, 3))
             : 0;
}
inline std::string BodyOf(const std::string& response) {
  const size_t end = response.find("\r\n\r\n");
  return end == std::string::npos ? "" : response.substr(end + 4);
}

}  // namespace atom::server
