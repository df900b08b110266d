// SPDX-License-Identifier: MIT
#include "model.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "source.h"

namespace
{

const uint32_t max_message_bytes = 16384;
const uint64_t stream_result = 0x995f9a3377c0b16e; // StreamResult of stream.capnp
const uint64_t annotations_file = 0xa1dc68d04698aee6;
const uint64_t status_file = 0xe3b2c327962cbb99; // status.capnp

std::string short_name(Node::Reader node)
{
    return std::string(node.getDisplayName().cStr()).substr(node.getDisplayNamePrefixLength());
}

uint32_t align8(uint32_t v)
{
    return (v + 7) & ~7u;
}

} // namespace

const Method *Interface::method(const std::string &wanted) const
{
    for (const auto &m : methods) {
        if (m.name == wanted) {
            return &m;
        }
    }
    return nullptr;
}

Kind kind_of(Type::Reader type)
{
    switch (type.which()) {
    case Type::VOID:
        return Kind::Void;
    case Type::BOOL:
        return Kind::Bool;
    case Type::FLOAT32:
    case Type::FLOAT64:
        return Kind::Float;
    case Type::ENUM:
        return Kind::Enum;
    case Type::TEXT:
        return Kind::Text;
    case Type::DATA:
        return Kind::Data;
    case Type::LIST:
        return Kind::List;
    case Type::STRUCT:
        return Kind::Struct;
    default:
        return Kind::Int;
    }
}

Model::Model(capnp::schema::CodeGeneratorRequest::Reader request)
{
    for (auto n : request.getNodes()) {
        loader.load(n);
        if (n.isFile()) {
            file_paths[n.getId()] = n.getDisplayName().cStr();
        }
        if (n.isAnnotation() && n.getScopeId() == annotations_file) {
            annotation_names[n.getId()] = short_name(n);
        }
        if (n.isEnum() && n.getScopeId() == status_file && short_name(n) == "Status") {
            for (auto e : n.getEnum().getEnumerants()) {
                statuses.insert(e.getName().cStr());
            }
        }
    }
    for (auto info : request.getSourceInfo()) {
        Source &s = sources[info.getId()];
        s.doc = info.getDocComment().cStr();
        for (auto m : info.getMembers()) {
            s.members.push_back(m.getDocComment().cStr());
        }
    }
    files.reserve(request.getRequestedFiles().size());
    for (auto f : request.getRequestedFiles()) {
        files.emplace_back();
        SchemaFile &file = files.back();
        file.id = f.getId();
        file.path = f.getFilename().cStr();
        file.stem = stem(file.path);
    }
    // All names first, those of other requested files too: files refer to each other.
    for (auto &file : files) {
        for (auto nested : node(file.id).getNestedNodes()) {
            walk(file, nested.getId());
        }
    }
    // Types of files that were not asked for are still referred to by name.
    for (auto n : request.getNodes()) {
        if (names.count(n.getId()) == 0 && n.getScopeId() != 0 && !n.isFile() && !n.isAnnotation()) {
            std::string display = n.getDisplayName().cStr();
            std::string name = display.substr(display.find(':') + 1);
            std::replace(name.begin(), name.end(), '.', '_');
            names[n.getId()] = name;
        }
    }
    for (auto &file : files) {
        for (uint64_t id : file.structs) {
            check_struct(file, id);
        }
        for (uint64_t id : file.interfaces) {
            load_interface(file, id);
        }
    }
    for (auto &file : files) {
        for (uint64_t id : file.interfaces) {
            resolve_facet(interfaces[id]);
        }
        check_names(file);
    }
}

void Model::walk(SchemaFile &file, uint64_t id)
{
    Node::Reader n = node(id);
    std::string name = names.count(n.getScopeId()) ? names[n.getScopeId()] + "_" : "";
    name += short_name(n);
    file_index[id] = (size_t)(&file - &files[0]);
    if (n.getIsGeneric() || n.getParameters().size() > 0) {
        names[id] = name;
        refuse(where(id), "generic types are not supported; write the type out");
    }
    switch (n.which()) {
    case Node::STRUCT:
        name_struct(id, name, file);
        break;
    case Node::ENUM:
        names[id] = name;
        file.enums.push_back(id);
        break;
    case Node::CONST:
        names[id] = name;
        file.consts.push_back(id);
        break;
    case Node::INTERFACE:
        names[id] = name;
        file.interfaces.push_back(id);
        for (auto m : n.getInterface().getMethods()) {
            std::string method = name + "_" + snake(m.getName().cStr());
            if (node(m.getParamStructType()).getScopeId() == 0) {
                name_struct(m.getParamStructType(), method + "_params", file);
            }
            if (node(m.getResultStructType()).getScopeId() == 0) {
                name_struct(m.getResultStructType(), method + "_results", file);
            }
        }
        break;
    default:
        names[id] = name;
        break;
    }
    for (auto nested : n.getNestedNodes()) {
        walk(file, nested.getId());
    }
}

void Model::name_struct(uint64_t id, const std::string &name, SchemaFile &file)
{
    names[id] = name;
    file_index[id] = (size_t)(&file - &files[0]);
    Node::Reader n = node(id);
    if (!n.getStruct().getIsGroup()) {
        file.structs.push_back(id);
    }
    for (auto f : n.getStruct().getFields()) {
        if (f.isGroup()) {
            name_struct(f.getGroup().getTypeId(), name + "_" + snake(f.getName().cStr()), file);
        }
    }
}

const std::string &Model::c_name(uint64_t id) const
{
    auto it = names.find(id);
    if (it == names.end()) {
        refuse("schema", format("type @0x%llx has no name", (unsigned long long)id));
    }
    return it->second;
}

std::string Model::doc(uint64_t id) const
{
    auto it = sources.find(id);
    return it == sources.end() ? "" : it->second.doc;
}

std::string Model::member_doc(uint64_t id, uint32_t index) const
{
    auto it = sources.find(id);
    return it == sources.end() || index >= it->second.members.size() ? "" : it->second.members[index];
}

const Interface *Model::interface_named(const std::string &name) const
{
    for (const auto &entry : interfaces) {
        if (entry.second.name == name) {
            return &entry.second;
        }
    }
    return nullptr;
}

const SchemaFile *Model::file_of(uint64_t id) const
{
    auto it = file_index.find(id);
    return it == file_index.end() ? nullptr : &files[it->second];
}

std::string Model::where(uint64_t id, const std::string &member) const
{
    // Display names read "file.capnp:Outer.Inner", "file.capnp:Iface.method$Params".
    std::string display = node(id).getDisplayName().cStr();
    size_t colon = display.find(':');
    std::string path = display.substr(0, colon);
    std::string name = colon == std::string::npos ? "" : display.substr(colon + 1);
    size_t dollar = name.find('$');
    if (dollar != std::string::npos) {
        name = name.substr(0, dollar);
    }
    std::string found;
    std::string text = read_schema_source(path, &found);
    unsigned line = 0;
    if (!member.empty()) {
        line = declaration_line(text, name + "." + member);
    }
    if (line == 0) {
        line = declaration_line(text, name);
    }
    return format("%s:%u", found.c_str(), line == 0 ? 1 : line);
}

bool Model::annotation(Annotations list, const char *name, Value::Reader *out) const
{
    for (auto a : list) {
        auto it = annotation_names.find(a.getId());
        if (it != annotation_names.end() && it->second == name) {
            *out = a.getValue();
            return true;
        }
    }
    return false;
}

bool Model::has_annotation(Annotations list, const char *name) const
{
    Value::Reader value;
    return annotation(list, name, &value);
}

std::string Model::text_annotation(Annotations list, const char *name) const
{
    Value::Reader value;
    return annotation(list, name, &value) ? value.getText().cStr() : "";
}

int64_t Model::number_annotation(Annotations list, const char *name, int64_t otherwise) const
{
    Value::Reader value;
    if (!annotation(list, name, &value)) {
        return otherwise;
    }
    switch (value.which()) {
    case Value::UINT16:
        return value.getUint16();
    case Value::UINT32:
        return value.getUint32();
    case Value::ENUM:
        return value.getEnum();
    default:
        return otherwise;
    }
}

void Model::refuse(const std::string &where, const std::string &why) const
{
    fprintf(stderr, "%s: error: %s\n", where.c_str(), why.c_str());
    exit(1);
}

void Model::load_interface(SchemaFile &file, uint64_t id)
{
    Node::Reader n = node(id);
    auto methods = n.getInterface().getMethods();
    Interface &iface = interfaces[id];
    iface.id = id;
    iface.name = names[id];
    iface.file = file.stem;
    iface.doc = doc(id);
    iface.kernel = has_annotation(n.getAnnotations(), "kernel");
    iface.ktype = (uint16_t)number_annotation(n.getAnnotations(), "kernelType", 0);
    iface.transfer = (uint16_t)number_annotation(n.getAnnotations(), "transfer", 0);
    iface.scope = (uint16_t)number_annotation(n.getAnnotations(), "scope", 0);
    if (n.getInterface().getSuperclasses().size() > 0) {
        refuse(where(id), iface.name + ": interfaces of objects do not use extends; an object that offers a "
                                       "second interface hands out a second capability");
    }
    if (methods.size() > 64) {
        refuse(where(id), format("%s: %u methods; a facet bitmap has room for 64", iface.name.c_str(),
                                 methods.size()));
    }
    if (iface.kernel != (iface.ktype != 0)) {
        refuse(where(id), iface.name + ": $kernel and $kernelType (not 0) belong together");
    }
    for (uint16_t i = 0; i < methods.size(); i++) {
        load_method(file, iface, methods[i], member_doc(id, i), i);
    }
    iface.facet = methods.size() == 64 ? UINT64_MAX : (UINT64_C(1) << methods.size()) - 1;
}

void Model::load_method(SchemaFile &file, Interface &iface, capnp::schema::Method::Reader m,
                        const std::string &doc, uint16_t ordinal)
{
    Method out;
    out.name = m.getName().cStr();
    out.c_name = snake(out.name);
    out.ordinal = ordinal;
    out.doc = doc;
    out.params_id = m.getParamStructType();
    out.results_id = m.getResultStructType();
    std::string at = where(iface.id, out.name);
    if (m.getImplicitParameters().size() > 0) {
        refuse(at, out.name + ": generic methods are not supported");
    }
    if (out.results_id == stream_result) {
        refuse(at, out.name + ": -> stream is not supported; write -> ()");
    }
    for (uint64_t id : {out.params_id, out.results_id}) {
        const SchemaFile *other = file_of(id);
        if (other != nullptr && other->stem != file.stem) {
            file.uses.insert(other->stem);
        }
    }
    out.params = iface.name + "_" + out.c_name + "_params";
    out.results = iface.name + "_" + out.c_name + "_results";
    Annotations a = m.getAnnotations();
    uint32_t fixed_params = fixed_bytes(out.params_id);
    uint32_t fixed_results = fixed_bytes(out.results_id);
    out.fixed_params = fixed_params != 0;
    out.fixed_results = fixed_results != 0;
    out.max_params = align8((uint32_t)number_annotation(a, "maxParams", fixed_params));
    out.max_results = align8((uint32_t)number_annotation(a, "maxResults", fixed_results));
    out.param_caps = (uint16_t)number_annotation(a, "paramCaps", 0);
    out.result_caps = (uint16_t)number_annotation(a, "resultCaps", 0);
    out.may_block = has_annotation(a, "mayBlock");
    out.quick = has_annotation(a, "quick");
    out.opcode = text_annotation(a, "opcode");
    if (out.max_params == 0) {
        refuse(at, iface.name + "." + out.name + ": its parameters hold text, data or lists: say $maxParams");
    }
    if (out.max_results == 0) {
        refuse(at, iface.name + "." + out.name + ": its results hold text, data or lists: say $maxResults");
    }
    if (out.max_params > max_message_bytes || out.max_results > max_message_bytes) {
        refuse(at, format("%s.%s: a message has at most %u bytes", iface.name.c_str(), out.name.c_str(),
                          max_message_bytes));
    }
    Value::Reader statuses;
    if (annotation(a, "statuses", &statuses)) {
        for (auto s : statuses.getList().getAs<capnp::List<capnp::Text>>()) {
            out.statuses.push_back(s.cStr());
        }
    }
    check_method(at, iface, out);
    iface.methods.push_back(out);
}

uint64_t Model::fixed_words(uint64_t struct_id, unsigned depth) const
{
    auto s = node(struct_id).getStruct();
    uint64_t words = (uint64_t)s.getDataWordCount() + s.getPointerCount();
    if (s.getIsGroup()) {
        words = 0;
    }
    if (depth > 8) {
        return UINT32_MAX;
    }
    for (auto f : s.getFields()) {
        if (f.isGroup()) {
            words += fixed_words(f.getGroup().getTypeId(), depth + 1);
            continue;
        }
        auto type = f.getSlot().getType();
        if (type.isStruct()) {
            words += fixed_words(type.getStruct().getTypeId(), depth + 1);
        } else if (type.isText() || type.isData() || type.isList()) {
            return UINT32_MAX;
        }
    }
    return words > UINT32_MAX ? UINT32_MAX : words;
}

uint32_t Model::fixed_bytes(uint64_t struct_id) const
{
    uint64_t words = 1 + fixed_words(struct_id, 0);
    return words * 8 > max_message_bytes ? 0 : (uint32_t)(words * 8);
}
