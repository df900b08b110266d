// SPDX-License-Identifier: MIT
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <sys/stat.h>

#include "emit.h"

void Out::line(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(nullptr, 0, fmt, args);
    va_end(args);
    size_t at = text.size();
    text.resize(at + (size_t)n + 1);
    vsnprintf(&text[at], (size_t)n + 1, fmt, again);
    va_end(again);
    text[at + (size_t)n] = '\n';
}

void Out::comment(const std::string &doc)
{
    if (doc.empty()) {
        return;
    }
    std::string body = "/* ";
    for (size_t i = 0; i < doc.size(); i++) {
        if (doc[i] == '\n') {
            body += i + 1 < doc.size() ? "\n * " : "";
        } else if (doc[i] == '*' && i + 1 < doc.size() && doc[i + 1] == '/') {
            body += "* ";
        } else if (doc[i] == '/' && i + 1 < doc.size() && doc[i + 1] == '*') {
            body += "/ ";
        } else {
            body += doc[i];
        }
    }
    text += body + " */\n";
}

void Out::save(const std::string &path) const
{
    FILE *f = fopen(path.c_str(), "wb");
    if (f == nullptr || fwrite(text.data(), 1, text.size(), f) != text.size() || fclose(f) != 0) {
        perror(path.c_str());
        exit(1);
    }
}

void make_directories(const std::string &path)
{
    for (size_t i = 1; i <= path.size(); i++) {
        if (i == path.size() || path[i] == '/') {
            mkdir(path.substr(0, i).c_str(), 0777);
        }
    }
}
