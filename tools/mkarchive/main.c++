/* SPDX-License-Identifier: MIT */
/*
 * mkarchive: what the system boots from.
 *
 *   mkarchive manifest -o FILE [-I DIR]... [--no-local] FRAGMENT.capnp...
 *       Compiles the constants of type Manifest in the fragments, merges them by entry name and
 *       writes one bare message. local.capnp beside the first fragment is one more, if it exists.
 *   mkarchive archive -o FILE [--hash FILE] [--c-source FILE] [--from ARCHIVE] NAME=FILE... [@LIST]...
 *       Writes an archive (abi/archive.h). LIST holds one NAME=FILE a line. With --from what ARCHIVE
 *       holds under other names is in it as well.
 *   mkarchive check MANIFEST ARCHIVE
 *       Every program and payload that the manifest names is in the archive. (The whole graph is
 *       checked by init's own code, on the host by tools/authority.)
 *   mkarchive list FILE
 *       Checks an archive and lists it: size, SHA-256, name.
 *
 * The output depends on nothing but the contents of the input files.
 */
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>

#include <kj/exception.h>

#include "mkarchive.h"

Bytes read_file(const std::string &path)
{
    std::ifstream in(path, std::ios::binary);
    if (!in) {
        throw Failure("cannot read " + path);
    }
    return Bytes(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

void write_file(const std::string &path, const void *bytes, size_t count)
{
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(static_cast<const char *>(bytes), std::streamsize(count));
    out.close();
    if (!out) {
        throw Failure("cannot write " + path);
    }
}

std::string take_option(Words &args, const std::string &name)
{
    for (size_t i = 0; i < args.size(); i++) {
        bool apart = args[i] == name && i + 1 < args.size();
        bool joined = name.size() == 2 && args[i].size() > 2 && args[i].compare(0, 2, name) == 0;
        if (apart || joined) {
            std::string value = apart ? args[i + 1] : args[i].substr(2);
            args.erase(args.begin() + long(i), args.begin() + long(i) + (apart ? 2 : 1));
            return value;
        }
    }
    return "";
}

bool take_flag(Words &args, const std::string &name)
{
    for (size_t i = 0; i < args.size(); i++) {
        if (args[i] == name) {
            args.erase(args.begin() + long(i));
            return true;
        }
    }
    return false;
}

static int run(Words args)
{
    std::string command = args.empty() ? "" : args[0];
    if (!args.empty()) {
        args.erase(args.begin());
    }
    if (command == "manifest") {
        command_manifest(args);
    } else if (command == "archive") {
        command_archive(args);
    } else if (command == "check") {
        command_check(args);
    } else if (command == "list") {
        command_list(args);
    } else {
        fputs("usage: mkarchive manifest|archive|check|list ... (see tools/mkarchive/main.c++)\n",
              stderr);
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    try {
        return run(Words(argv + 1, argv + argc));
    } catch (const kj::Exception &e) {
        /* The parser counts lines from 0. */
        std::string file = e.getFile();
        bool schema = file.size() > 6 && file.compare(file.size() - 6, 6, ".capnp") == 0;
        fprintf(stderr, "mkarchive: %s:%d: %s\n", file.c_str(), e.getLine() + (schema ? 1 : 0),
                kj::str(e.getDescription()).cStr());
    } catch (const std::exception &e) {
        fprintf(stderr, "mkarchive: %s\n", e.what());
    }
    return 1;
}
