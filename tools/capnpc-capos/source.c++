// SPDX-License-Identifier: MIT
#include "source.h"

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

namespace
{

struct Token {
    std::string text;
    unsigned line;
};

// Words, numbers and single punctuation marks; comments and strings are left out.
std::vector<Token> tokens_of(const std::string &text)
{
    std::vector<Token> out;
    unsigned line = 1;
    for (size_t i = 0; i < text.size(); i++) {
        char c = text[i];
        if (c == '\n') {
            line++;
        } else if (c == '#') {
            while (i + 1 < text.size() && text[i + 1] != '\n') {
                i++;
            }
        } else if (c == '"') {
            for (i++; i < text.size() && text[i] != '"'; i++) {
                i += text[i] == '\\' ? 1 : 0;
            }
        } else if (isalnum((unsigned char)c) || c == '_') {
            size_t start = i;
            while (i + 1 < text.size() && (isalnum((unsigned char)text[i + 1]) || text[i + 1] == '_')) {
                i++;
            }
            out.push_back({text.substr(start, i - start + 1), line});
        } else if (!isspace((unsigned char)c)) {
            out.push_back({std::string(1, c), line});
        }
    }
    return out;
}

bool declares_scope(const std::string &word)
{
    return word == "struct" || word == "interface" || word == "enum" || word == "const" ||
           word == "annotation";
}

std::string join(const std::vector<std::string> &scopes, const std::string &name)
{
    std::string out;
    for (const auto &s : scopes) {
        out += s.empty() ? "" : s + ".";
    }
    return out + name;
}

} // namespace

unsigned declaration_line(const std::string &text, const std::string &path)
{
    std::vector<Token> tokens = tokens_of(text);
    std::vector<std::string> scopes;
    std::string pending; // name of the scope that the next brace opens
    std::string method;  // inside a method's parentheses: its name
    int parens = 0;
    std::string last_member;
    for (size_t i = 0; i < tokens.size(); i++) {
        const std::string &t = tokens[i].text;
        std::string next = i + 1 < tokens.size() ? tokens[i + 1].text : "";
        std::string declared;
        if (t == "{") {
            scopes.push_back(pending);
            pending.clear();
        } else if (t == "}") {
            if (!scopes.empty()) {
                scopes.pop_back();
            }
        } else if (t == "(") {
            parens++;
        } else if (t == ")") {
            parens--;
        } else if (t == ";") {
            parens = 0;
            pending.clear();
            last_member.clear();
        } else if (parens == 0 && declares_scope(t)) {
            declared = next;
            pending = next;
        } else if (parens == 0 && isalpha((unsigned char)t[0]) && (next == "@" || next == ":") &&
                   (i == 0 || tokens[i - 1].text != "using")) {
            declared = t;
            last_member = t;
            pending = t; // a group or union opens a scope
        } else if (parens > 0 && isalpha((unsigned char)t[0]) && next == ":" && !last_member.empty()) {
            if (join(scopes, last_member + "." + t) == path) {
                return tokens[i].line;
            }
        }
        if (!declared.empty() && join(scopes, declared) == path) {
            return tokens[i].line;
        }
    }
    return 0;
}

std::string read_schema_source(const std::string &path, std::string *found)
{
    std::vector<std::string> roots = {""};
    if (const char *given = getenv("CAPNPC_CAPOS_SOURCES")) {
        std::stringstream list(given);
        for (std::string root; std::getline(list, root, ':');) {
            roots.push_back(root + "/");
        }
    }
    for (const char *up : {"", "../", "../../", "../../../"}) {
        for (const char *dir : {"", "schema/"}) {
            roots.push_back(std::string(up) + dir);
        }
        roots.push_back(std::string(up) + "apps/" + path.substr(0, path.rfind('.')) + "/");
        roots.push_back(std::string(up) + "services/" + path.substr(0, path.rfind('.')) + "/");
    }
    for (const auto &root : roots) {
        std::string relative = !path.empty() && path[0] == '/' && !root.empty() ? path.substr(1) : path;
        std::ifstream in(root + relative);
        if (in) {
            std::stringstream text;
            text << in.rdbuf();
            *found = root + relative;
            while (found->rfind("../", 0) == 0) {
                *found = found->substr(3);
            }
            return text.str();
        }
    }
    *found = path;
    return "";
}
