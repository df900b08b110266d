/* SPDX-License-Identifier: MIT */
/* What the parts of mkarchive share. Every function throws Failure with a message for a person. */
#ifndef CAPOS_MKARCHIVE_H
#define CAPOS_MKARCHIVE_H

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

using Bytes = std::vector<uint8_t>;
using Words = std::vector<std::string>;

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

Bytes read_file(const std::string &path);
void write_file(const std::string &path, const void *bytes, size_t count);

/* Takes "--name value" or "-oVALUE" style options off the front of args; "" when absent. */
std::string take_option(Words &args, const std::string &name);
bool take_flag(Words &args, const std::string &name);

void command_manifest(Words args);
void command_archive(Words args);
void command_list(Words args);
void command_check(Words args);

/* The payload names of an archive, in its order. */
Words archive_names(const Bytes &file);

#endif
