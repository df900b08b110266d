// SPDX-License-Identifier: MIT
#include "names.h"

#include <cctype>
#include <cstdarg>
#include <cstdio>
#include <set>

std::string snake(const std::string &name)
{
    std::string out;
    for (size_t i = 0; i < name.size(); i++) {
        unsigned char c = name[i];
        if (isupper(c) && i > 0 && name[i - 1] != '_') {
            bool after_lower = islower((unsigned char)name[i - 1]) || isdigit((unsigned char)name[i - 1]);
            bool before_lower = i + 1 < name.size() && islower((unsigned char)name[i + 1]);
            if (after_lower || before_lower) {
                out += '_';
            }
        }
        out += (char)tolower(c);
    }
    return out;
}

std::string upper(const std::string &name)
{
    std::string out = snake(name);
    for (auto &c : out) {
        c = (char)toupper((unsigned char)c);
    }
    return out;
}

std::string safe(const std::string &name)
{
    static const std::set<std::string> keywords = {
        "auto",     "break",  "case",    "char",   "const",    "continue", "default",  "do",
        "double",   "else",   "enum",    "extern", "float",    "for",      "goto",     "if",
        "inline",   "int",    "long",    "register", "restrict", "return", "short",    "signed",
        "sizeof",   "static", "struct",  "switch", "typedef",  "union",    "unsigned", "void",
        "volatile", "while",  "bool",    "true",   "false",    "asm",      "typeof",   "cap",
        "call",     "status", "self",    "req",    "ops",      "params",   "results",
    };
    return keywords.count(name) ? name + "_" : name;
}

std::string quoted(const std::string &text)
{
    std::string out = "\"";
    for (unsigned char c : text) {
        switch (c) {
        case '"':
            out += "\\\"";
            break;
        case '\\':
            out += "\\\\";
            break;
        case '\n':
            out += "\\n";
            break;
        case '\t':
            out += "\\t";
            break;
        default:
            out += c < 0x20 || c >= 0x7f || c == '?' ? format("\\%03o", c) : std::string(1, (char)c);
        }
    }
    return out + "\"";
}

std::string stem(const std::string &path)
{
    size_t slash = path.rfind('/');
    std::string base = slash == std::string::npos ? path : path.substr(slash + 1);
    size_t dot = base.rfind(".capnp");
    return dot == std::string::npos ? base : base.substr(0, dot);
}

std::string format(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(nullptr, 0, fmt, args);
    va_end(args);
    std::string out((size_t)n, '\0');
    vsnprintf(&out[0], (size_t)n + 1, fmt, again);
    va_end(again);
    return out;
}
