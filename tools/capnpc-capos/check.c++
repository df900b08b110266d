// SPDX-License-Identifier: MIT
// What the generator does not support, or the rules of the house forbid, is refused here.
#include <capnp/any.h>

#include "model.h"

void Model::check_type(SchemaFile &file, uint64_t owner, const std::string &member, Type::Reader type)
{
    switch (type.which()) {
    case Type::ANY_POINTER:
        refuse(where(owner, member),
               member + ": AnyPointer and generic parameters are not supported; use Data for opaque bytes");
    case Type::INTERFACE:
        refuse(where(owner, member),
               member + ": capabilities do not travel in a message; declare `" + member +
                   " :UInt16 $capability(\"...\")` and pass it beside the message");
    case Type::LIST:
        check_type(file, owner, member, type.getList().getElementType());
        break;
    case Type::STRUCT:
    case Type::ENUM: {
        uint64_t id = type.isStruct() ? type.getStruct().getTypeId() : type.getEnum().getTypeId();
        auto brand = type.isStruct() ? type.getStruct().getBrand() : type.getEnum().getBrand();
        if (brand.getScopes().size() > 0) {
            refuse(where(owner, member), member + ": generic types are not supported; write the type out");
        }
        const SchemaFile *other = file_of(id);
        uint64_t root = id;
        while (!node(root).isFile()) {
            root = node(root).getScopeId();
        }
        std::string other_stem = other ? other->stem : stem(file_paths[root]);
        if (other_stem != file.stem) {
            file.uses.insert(other_stem);
        }
        break;
    }
    default:
        break;
    }
}

void Model::check_struct(SchemaFile &file, uint64_t id)
{
    for (auto f : node(id).getStruct().getFields()) {
        std::string member = f.getName().cStr();
        if (f.isGroup()) {
            check_struct(file, f.getGroup().getTypeId());
            continue;
        }
        check_type(file, id, member, f.getSlot().getType());
        if (has_annotation(f.getAnnotations(), "capability") && !f.getSlot().getType().isUint16()) {
            refuse(where(id, member), member + ": a field with $capability must be a UInt16");
        }
    }
}

static const uint16_t max_transfers = 62; // CAPOS_MAX_TRANSFERS of abi/ring.h

// How many capabilities the fields of a parameter or result struct name themselves; those in lists are not counted.
static uint16_t named_capabilities(const Model &model, uint64_t struct_id)
{
    uint16_t count = 0;
    for (auto f : model.node(struct_id).getStruct().getFields()) {
        count += f.isSlot() && model.has_annotation(f.getAnnotations(), "capability");
    }
    return count;
}

void Model::check_side(const std::string &at, const std::string &what, uint64_t struct_id, uint32_t max_bytes,
                       uint16_t caps, const char *max_annotation, const char *caps_annotation) const
{
    auto s = node(struct_id).getStruct();
    uint32_t least = 8 + 8 * (s.getDataWordCount() + s.getPointerCount());
    if (max_bytes < least) {
        refuse(at, format("%s are %u bytes at least: $%s(%u) is too small", what.c_str(), least, max_annotation,
                          max_bytes));
    }
    uint16_t named = named_capabilities(*this, struct_id);
    if (named > caps) {
        refuse(at, format("%s name %u capabilities: say $%s(%u)", what.c_str(), named, caps_annotation, named));
    }
    if (caps > max_transfers) {
        refuse(at, format("%s carry at most %u capabilities", what.c_str(), max_transfers));
    }
}

// The names of statuses are known where schema/status.capnp is in the request.
bool Model::status_known(const std::string &name) const
{
    return statuses.empty() || statuses.count(name) != 0;
}

// INVOKE_QUICK_BYTES of kernel/object/invoke.h.
static const uint32_t quick_bytes = 32;

// Nothing but 64-bit numbers, in the order of their words.
bool Model::only_words(uint64_t struct_id) const
{
    auto s = node(struct_id).getStruct();
    bool words = s.getPointerCount() == 0 && s.getDiscriminantCount() == 0 && s.getFields().size() != 0;
    for (auto f : s.getFields()) {
        words = words && f.isSlot() && (f.getSlot().getType().isUint64() || f.getSlot().getType().isInt64());
    }
    return words;
}

void Model::check_method(const std::string &at, const Interface &iface, const Method &m) const
{
    static const char *const opcodes[] = {"CALL",    "RECV",   "RETURN", "RETURN_RECV", "WAIT",     "SIGNAL", "RELEASE",
                                          "CANCEL",  "FINISH", "PARK",   "UNPARK",      "HANDOVER", "MAP"};
    std::string name = iface.name + "." + m.name;
    check_side(at, name + ": its parameters", m.params_id, m.max_params, m.param_caps, "maxParams", "paramCaps");
    check_side(at, name + ": its results", m.results_id, m.max_results, m.result_caps, "maxResults", "resultCaps");
    bool known = m.opcode.empty();
    for (const char *opcode : opcodes) {
        known = known || m.opcode == opcode;
    }
    if (!known) {
        refuse(at, name + ": $opcode names " + m.opcode + ", which is none");
    }
    if (m.quick && !(iface.kernel && m.opcode.empty() && !m.may_block && fixed_bytes(m.params_id) == 8 &&
                     only_words(m.results_id) && fixed_bytes(m.results_id) <= quick_bytes)) {
        refuse(at, name + ": $quick is for kernel methods without parameters whose results are 64-bit numbers");
    }
    for (const auto &status : m.statuses) {
        if (!status_known(status)) {
            refuse(at, name + ": $statuses names " + status + ", which schema/status.capnp has not");
        }
    }
}

// When every schema of the system is in the request: each $capability names an interface or facet there is.
void Model::check_capability_names() const
{
    for (const auto &file : files) {
        for (uint64_t id : file.structs) {
            for (auto f : node(id).getStruct().getFields()) {
                std::string name = text_annotation(f.getAnnotations(), "capability");
                if (!name.empty() && name != "*" && interface_named(name) == nullptr) {
                    refuse(where(id, f.getName().cStr()), std::string(f.getName().cStr()) +
                                                              ": $capability names the unknown interface " + name);
                }
            }
        }
    }
}

void Model::resolve_facet(Interface &iface)
{
    Value::Reader value;
    iface.base_id = iface.id;
    if (!annotation(node(iface.id).getAnnotations(), "facet", &value)) {
        return;
    }
    // FacetSpec { base @0 :Text; methods @1 :List(Text); }: read by layout, this is an AnyPointer.
    auto spec = value.getStruct().getAs<capnp::AnyStruct>();
    auto pointers = spec.getPointerSection();
    iface.base = pointers.size() > 0 ? pointers[0].getAs<capnp::Text>().cStr() : "";
    const Interface *base = interface_named(iface.base);
    if (base == nullptr) {
        refuse(where(iface.id), iface.name + ": $facet names the unknown interface " + iface.base);
    }
    if (!iface.methods.empty()) {
        refuse(where(iface.id), iface.name + ": a facet has the methods of its base and none of its own");
    }
    if (!base->base.empty()) {
        refuse(where(iface.id), iface.name + ": the base of a facet is not itself a facet");
    }
    iface.base_id = base->id;
    iface.facet = 0;
    iface.transfer = base->transfer;
    iface.scope = base->scope;
    Annotations own = node(iface.id).getAnnotations();
    iface.transfer = (uint16_t)number_annotation(own, "transfer", iface.transfer);
    iface.scope = (uint16_t)number_annotation(own, "scope", iface.scope);
    if (pointers.size() > 1) {
        for (auto name : pointers[1].getAs<capnp::List<capnp::Text>>()) {
            const Method *m = base->method(name.cStr());
            if (m == nullptr) {
                refuse(where(iface.id),
                       iface.name + ": " + iface.base + " has no method " + std::string(name.cStr()));
            }
            iface.facet |= UINT64_C(1) << m->ordinal;
        }
    }
    if (iface.facet == 0) {
        refuse(where(iface.id), iface.name + ": a facet without methods");
    }
}

void Model::check_names(const SchemaFile &file) const
{
    std::map<std::string, uint64_t> seen;
    std::vector<uint64_t> all = file.structs;
    all.insert(all.end(), file.enums.begin(), file.enums.end());
    all.insert(all.end(), file.interfaces.begin(), file.interfaces.end());
    for (uint64_t id : all) {
        auto inserted = seen.insert({c_name(id), id});
        if (!inserted.second) {
            refuse(where(id), c_name(id) + ": the same C name as " + where(inserted.first->second));
        }
    }
    for (const auto &other : files) {
        if (other.id == file.id) {
            continue;
        }
        for (uint64_t id : other.structs) {
            auto it = seen.find(c_name(id));
            if (it != seen.end()) {
                refuse(where(it->second), c_name(id) + ": the same C name as " + where(id));
            }
        }
    }
}
