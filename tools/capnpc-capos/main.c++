// SPDX-License-Identifier: MIT
//
// capnpc-capos: plugin of the stock schema compiler (`capnp compile -o`). Reads a
// CodeGeneratorRequest on standard input and writes C into the current directory, or --out.
//
//   --out DIR          where to write (default .)
//   --only NAME        for this: of one file of the request alone; the others are there for their names
//   --interfaces DIR   write only the table of all interfaces and the linkable descriptors
//   --docs DIR         write only the reference pages
//   --abi-check FILE   compare with the golden ABI; exit 1 on any difference
//   --abi-accept FILE  rewrite the golden ABI
//   --layout FILE      for these two: what tools/abi-facts printed
#include <cstdio>
#include <cstring>
#include <exception>

#include <capnp/serialize.h>
#include <kj/exception.h>

#include "emit.h"

namespace
{

int generate(const Model &model, const std::string &dir, const std::string &only)
{
    make_directories(dir);
    for (const auto &file : model.files) {
        if (!only.empty() && file.path != only) {
            continue;
        }
        emit_codec(model, file, dir);
        emit_client(model, file, dir);
        emit_descriptors(model, file, dir);
    }
    if (only.empty()) {
        emit_kernel(model, dir);
    }
    return 0;
}

int run(int argc, char **argv)
{
    std::string mode = "--out";
    std::string target = ".";
    std::string layout;
    std::string only;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--layout") == 0) {
            layout = argv[i + 1];
            continue;
        }
        if (strcmp(argv[i], "--only") == 0) {
            only = argv[i + 1];
            continue;
        }
        mode = argv[i];
        target = argv[i + 1];
    }
    capnp::ReaderOptions options;
    options.traversalLimitInWords = UINT64_C(1) << 30;
    capnp::StreamFdMessageReader message(0, options);
    Model model(message.getRoot<capnp::schema::CodeGeneratorRequest>());
    if (mode == "--out") {
        return generate(model, target, only);
    }
    if (mode == "--interfaces") {
        model.check_capability_names();
        make_directories(target);
        emit_interface_table(model, target);
        return 0;
    }
    if (mode == "--docs") {
        make_directories(target);
        emit_docs(model, target);
        return 0;
    }
    if (mode == "--abi-check" || mode == "--abi-accept") {
        return abi_check(model, layout, target, mode == "--abi-accept");
    }
    fprintf(stderr, "capnpc-capos: unknown option %s\n", mode.c_str());
    return 2;
}

} // namespace

int main(int argc, char **argv)
{
    int result = 1;
    auto failure = kj::runCatchingExceptions([&]() { result = run(argc, argv); });
    KJ_IF_MAYBE (e, failure) {
        fprintf(stderr, "capnpc-capos: %s\n", kj::str(*e).cStr());
        return 1;
    }
    return result;
}
