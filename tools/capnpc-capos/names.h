// SPDX-License-Identifier: MIT
// Spelling: how names of the schema become names of C.
#pragma once

#include <string>

// barBaz, BarBaz, HTTPServer -> bar_baz, bar_baz, http_server
std::string snake(const std::string &name);

// barBaz -> BAR_BAZ
std::string upper(const std::string &name);

// A name that may stand alone in C: keywords get a trailing underscore.
std::string safe(const std::string &name);

// Text as a C string literal, quotes included.
std::string quoted(const std::string &text);

// "schema/time.capnp" -> "time"
std::string stem(const std::string &path);

std::string format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
