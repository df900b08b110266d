// SPDX-License-Identifier: MIT
// Types and values of the schema in terms of C and of the wire.
#include <cstring>

#include <capnp/any.h>
#include <capnp/message.h>

#include "emit.h"

std::string scalar_type(Type::Reader type)
{
    switch (type.which()) {
    case Type::BOOL:
        return "bool";
    case Type::INT8:
        return "int8_t";
    case Type::INT16:
        return "int16_t";
    case Type::INT32:
        return "int32_t";
    case Type::INT64:
        return "int64_t";
    case Type::UINT8:
        return "uint8_t";
    case Type::UINT16:
    case Type::ENUM:
        return "uint16_t";
    case Type::UINT32:
        return "uint32_t";
    case Type::UINT64:
        return "uint64_t";
    case Type::FLOAT32:
        return "float";
    case Type::FLOAT64:
        return "double";
    default:
        return "void";
    }
}

std::string scalar_suffix(Type::Reader type)
{
    switch (type.which()) {
    case Type::BOOL:
        return "bool";
    case Type::INT8:
        return "i8";
    case Type::INT16:
        return "i16";
    case Type::INT32:
        return "i32";
    case Type::INT64:
        return "i64";
    case Type::UINT8:
        return "u8";
    case Type::UINT16:
    case Type::ENUM:
        return "u16";
    case Type::UINT32:
        return "u32";
    case Type::UINT64:
        return "u64";
    case Type::FLOAT32:
        return "f32";
    case Type::FLOAT64:
        return "f64";
    default:
        return "";
    }
}

bool is_scalar(Type::Reader type)
{
    return !scalar_suffix(type).empty();
}

std::string kind_name(Type::Reader type)
{
    switch (type.which()) {
    case Type::VOID:
        return "CAPNP_KIND_VOID";
    case Type::BOOL:
        return "CAPNP_KIND_BOOL";
    case Type::INT8:
    case Type::UINT8:
        return "CAPNP_KIND_BITS8";
    case Type::INT16:
    case Type::UINT16:
    case Type::ENUM:
        return "CAPNP_KIND_BITS16";
    case Type::INT32:
    case Type::UINT32:
    case Type::FLOAT32:
        return "CAPNP_KIND_BITS32";
    case Type::INT64:
    case Type::UINT64:
    case Type::FLOAT64:
        return "CAPNP_KIND_BITS64";
    case Type::TEXT:
        return "CAPNP_KIND_TEXT";
    case Type::DATA:
        return "CAPNP_KIND_DATA";
    case Type::LIST:
        return "CAPNP_KIND_LIST";
    default:
        return "CAPNP_KIND_STRUCT";
    }
}

std::string reader_type(const Model &model, Type::Reader type)
{
    switch (type.which()) {
    case Type::ENUM:
        return "enum " + model.c_name(type.getEnum().getTypeId());
    case Type::TEXT:
        return "struct capnp_text";
    case Type::DATA:
        return "struct capnp_data";
    case Type::STRUCT:
        return model.c_name(type.getStruct().getTypeId()) + "_r";
    case Type::LIST:
        if (type.getList().getElementType().isStruct()) {
            return model.c_name(type.getList().getElementType().getStruct().getTypeId()) + "_list_r";
        }
        return "struct capnp_list";
    default:
        return scalar_type(type);
    }
}

uint64_t default_bits(Value::Reader v)
{
    switch (v.which()) {
    case Value::BOOL:
        return v.getBool();
    case Value::INT8:
        return (uint8_t)v.getInt8();
    case Value::INT16:
        return (uint16_t)v.getInt16();
    case Value::INT32:
        return (uint32_t)v.getInt32();
    case Value::INT64:
        return (uint64_t)v.getInt64();
    case Value::UINT8:
        return v.getUint8();
    case Value::UINT16:
        return v.getUint16();
    case Value::UINT32:
        return v.getUint32();
    case Value::UINT64:
        return v.getUint64();
    case Value::ENUM:
        return v.getEnum();
    case Value::FLOAT32: {
        float f = v.getFloat32();
        uint32_t bits;
        memcpy(&bits, &f, 4);
        return bits;
    }
    case Value::FLOAT64: {
        double f = v.getFloat64();
        uint64_t bits;
        memcpy(&bits, &f, 8);
        return bits;
    }
    default:
        return 0;
    }
}

// A constant or default as the words of a bare message.
std::vector<uint64_t> message_of(Value::Reader value)
{
    size_t words = 64;
    capnp::AnyPointer::Reader pointer;
    switch (value.which()) {
    case Value::STRUCT:
        pointer = value.getStruct();
        break;
    case Value::LIST:
        pointer = value.getList();
        break;
    case Value::ANY_POINTER:
        pointer = value.getAnyPointer();
        break;
    case Value::TEXT:
        words += value.getText().size() / 8;
        break;
    case Value::DATA:
        words += value.getData().size() / 8;
        break;
    default:
        return {};
    }
    words += pointer.targetSize().wordCount;
    capnp::MallocMessageBuilder message((unsigned)words, capnp::AllocationStrategy::FIXED_SIZE);
    if (value.isText()) {
        message.getRoot<capnp::AnyPointer>().setAs<capnp::Text>(value.getText());
    } else if (value.isData()) {
        message.getRoot<capnp::AnyPointer>().setAs<capnp::Data>(value.getData());
    } else {
        message.getRoot<capnp::AnyPointer>().set(pointer);
    }
    auto segments = message.getSegmentsForOutput();
    std::vector<uint64_t> out(segments[0].size());
    memcpy(out.data(), segments[0].begin(), out.size() * 8);
    return out;
}

bool is_null_pointer(Value::Reader value)
{
    switch (value.which()) {
    case Value::STRUCT:
        return value.getStruct().isNull();
    case Value::LIST:
        return value.getList().isNull();
    case Value::TEXT:
        return !value.hasText();
    case Value::DATA:
        return !value.hasData();
    default:
        return true;
    }
}
