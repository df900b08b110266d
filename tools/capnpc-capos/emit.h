// SPDX-License-Identifier: MIT
// The emitters: each writes one kind of file from the model.
#pragma once

#include <string>

#include "model.h"

// Text of one output file, line by line.
class Out
{
  public:
    std::string text;
    void line(const char *fmt, ...) __attribute__((format(printf, 2, 3)));
    void comment(const std::string &doc); // a C comment block; nothing when empty
    void save(const std::string &path) const;
};

void make_directories(const std::string &path);

// NAME.capnp.h and NAME.capnp.c: readers, builders, constants, type tables.
void emit_codec(const Model &model, const SchemaFile &file, const std::string &dir);
// Part of the same header: ids, ordinals, facets, limits.
void emit_interface_constants(const Model &model, const SchemaFile &file, Out &h);
// status_t numbers, part of the header of the file that declares enum Status.
void emit_statuses(const Model &model, uint64_t enum_id, Out &h, Out &c);
// NAME.client.h and NAME.client.c.
void emit_client(const Model &model, const SchemaFile &file, const std::string &dir);
// kernel/NAME.kernel.{h,c}, kernel/types.{h,c}; nothing without kernel interfaces.
void emit_kernel(const Model &model, const std::string &dir);
// desc/<id>.desc, one per base interface.
void emit_descriptors(const Model &model, const SchemaFile &file, const std::string &dir);
// descriptors.{h,c}: the same, linkable; interfaces.{h,c}: a table of all.
void emit_interface_table(const Model &model, const std::string &dir);
// Markdown, one page per interface.
void emit_docs(const Model &model, const std::string &dir);
// The golden text of the ABI: the schema's facts, and those in the file `layout`.
int abi_check(const Model &model, const std::string &layout, const std::string &golden,
              bool accept);

// ---- shared by the emitters ----

// C type of a field as getters return it.
std::string reader_type(const Model &model, Type::Reader type);
// CAPNP_KIND_* of a list element or field.
std::string kind_name(Type::Reader type);
// "u32", "i64", "bool", "f64" ...
std::string scalar_suffix(Type::Reader type);
std::string scalar_type(Type::Reader type);
bool is_scalar(Type::Reader type); // bool, integer, float, enum
// The bits of a scalar default.
uint64_t default_bits(Value::Reader v);
// A constant or default as the words of a bare message; is there one?
std::vector<uint64_t> message_of(Value::Reader value);
bool is_null_pointer(Value::Reader value);
