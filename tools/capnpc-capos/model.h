// SPDX-License-Identifier: MIT
// What a request of the schema compiler says, in the form the emitters want it.
#pragma once

#include <capnp/message.h>
#include <capnp/schema-loader.h>
#include <capnp/schema.capnp.h>
#include <capnp/schema.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "names.h"

using capnp::schema::Field;
using capnp::schema::Node;
using capnp::schema::Type;
using capnp::schema::Value;
using Annotations = capnp::List<capnp::schema::Annotation>::Reader;

// One method of an interface, with what the annotations add.
struct Method {
    std::string name;
    std::string c_name; // snake_case
    uint16_t ordinal = 0;
    std::string doc;
    uint64_t params_id = 0;
    uint64_t results_id = 0;
    std::string params; // C type name without suffix: Timer_sleep_params
    std::string results;
    uint32_t max_params = 0; // bytes
    uint32_t max_results = 0;
    uint16_t param_caps = 0;
    uint16_t result_caps = 0;
    bool may_block = false;
    bool quick = false;
    bool fixed_params = false;
    bool fixed_results = false;
    std::string opcode; // "" when it may be called
    std::vector<std::string> statuses;
};

struct Interface {
    uint64_t id = 0;
    std::string name;
    std::string file; // stem of the schema file
    std::string doc;
    bool kernel = false;
    uint16_t ktype = 0;
    uint16_t transfer = 0; // as in schema/annotations.capnp
    uint16_t scope = 0;
    std::string base; // "" unless this is a facet
    uint64_t base_id = 0;
    uint64_t facet = 0;          // its method bitmap; a base: all methods
    std::vector<Method> methods; // by ordinal
    const Method *method(const std::string &name) const;
};

struct SchemaFile {
    uint64_t id = 0;
    std::string path; // as in the request
    std::string stem;
    std::vector<uint64_t> structs; // in order of declaration; groups are not in here
    std::vector<uint64_t> enums;
    std::vector<uint64_t> consts;
    std::vector<uint64_t> interfaces;
    std::set<std::string> uses; // stems of the files whose types its structs hold
};

// A pointer field or list element; what can be in a message.
enum class Kind { Void, Bool, Int, Float, Enum, Text, Data, List, Struct };

class Model
{
  public:
    explicit Model(capnp::schema::CodeGeneratorRequest::Reader request);

    capnp::SchemaLoader loader;
    std::vector<SchemaFile> files; // those asked for
    std::map<uint64_t, Interface> interfaces;

    Node::Reader node(uint64_t id) const
    {
        return loader.get(id).getProto();
    }
    const std::string &c_name(uint64_t id) const;
    std::string doc(uint64_t id) const;
    std::string member_doc(uint64_t id, uint32_t index) const;
    const Interface *interface_named(const std::string &name) const;
    const SchemaFile *file_of(uint64_t id) const; // nullptr: not asked for
    // file:line of a node, or of its member.
    std::string where(uint64_t id, const std::string &member = "") const;
    // Upper bound of a message with this root, in bytes; 0: unbounded.
    uint32_t fixed_bytes(uint64_t struct_id) const;

    // Annotation of schema/annotations.capnp by name; false when absent.
    bool annotation(Annotations list, const char *name, Value::Reader *out) const;
    std::string text_annotation(Annotations list, const char *name) const;
    int64_t number_annotation(Annotations list, const char *name, int64_t otherwise) const;
    bool has_annotation(Annotations list, const char *name) const;

    // Refuses a $capability that names no interface of the request.
    void check_capability_names() const;

    // Ends the run: says what is not supported, where, and what to do.
    [[noreturn]] void refuse(const std::string &where, const std::string &why) const;

  private:
    struct Source {
        std::string doc;
        std::vector<std::string> members;
    };
    std::map<uint64_t, std::string> names;
    std::map<uint64_t, size_t> file_index;
    std::map<uint64_t, Source> sources;
    std::map<uint64_t, std::string> annotation_names;
    std::map<uint64_t, std::string> file_paths;
    std::set<std::string> statuses; // empty: schema/status.capnp is not in the request

    void walk(SchemaFile &file, uint64_t id);
    void name_struct(uint64_t id, const std::string &name, SchemaFile &file);
    void load_interface(SchemaFile &file, uint64_t id);
    void load_method(SchemaFile &file, Interface &iface, capnp::schema::Method::Reader m,
                     const std::string &doc, uint16_t ordinal);
    void check_side(const std::string &at, const std::string &what, uint64_t struct_id,
                    uint32_t max_bytes, uint16_t caps, const char *max_annotation,
                    const char *caps_annotation) const;
    bool status_known(const std::string &name) const;
    bool only_words(uint64_t struct_id) const;
    void check_method(const std::string &at, const Interface &iface, const Method &m) const;
    void resolve_facet(Interface &iface);
    void check_struct(SchemaFile &file, uint64_t id);
    void check_type(SchemaFile &file, uint64_t owner, const std::string &member, Type::Reader type);
    void check_names(const SchemaFile &file) const;
    uint64_t fixed_words(uint64_t struct_id, unsigned depth) const;
};

Kind kind_of(Type::Reader type);
