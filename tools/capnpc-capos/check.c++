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
