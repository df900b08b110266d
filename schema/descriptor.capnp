# SPDX-License-Identifier: MIT
@0xd2c1f9a0e7b35d41;

# What an interface is, for programs that meet it at run time. One Descriptor per base interface; the
# generator writes it, lib/capnp/dynamic.h reads it. Self-contained: every struct and enum that its
# methods reach is in it.
using A = import "annotations.capnp";

struct Descriptor {
  formatVersion @0 :UInt32;         # 1
  id @1 :UInt64 $A.hex;
  name @2 :Text;
  doc @3 :Text;
  source @4 :Text;                  # schema file
  transferMode @5 :A.TransferMode;
  scope @6 :A.SessionScope;
  kernel @7 :Bool;                  # implemented by the kernel
  methods @8 :List(DescribedMethod);   # by ordinal
  facets @9 :List(DescribedFacet);
  structs @10 :List(DescribedStruct);
  enums @11 :List(DescribedEnum);
}

struct DescribedMethod {
  name @0 :Text;
  doc @1 :Text;
  ordinal @2 :UInt16;
  params @3 :UInt16;                # number of a struct in Descriptor.structs
  results @4 :UInt16;
  paramCaps @5 :UInt16;
  resultCaps @6 :UInt16;
  mayBlock @7 :Bool;
  maxParamsBytes @8 :UInt32;
  maxResultsBytes @9 :UInt32;
  opcode @10 :Text;                 # not empty: stands for this ring opcode, cannot be called
  statuses @11 :List(Text);         # refusals beside those every call can have
}

struct DescribedFacet {
  id @0 :UInt64 $A.hex;
  methods @1 :UInt64 $A.hex;
  name @2 :Text;
  doc @3 :Text;
}

struct DescribedStruct {
  # A struct, or a group (a view of the struct that holds it).
  name @0 :Text;
  doc @1 :Text;
  dataWords @2 :UInt16;
  pointers @3 :UInt16;
  discriminants @4 :UInt16;         # members of its union; 0 = none
  isGroup @5 :Bool;
  discriminantOffset @6 :UInt32;    # in units of 16 bits
  fields @7 :List(DescribedField);  # in order of declaration
}

struct DescribedField {
  name @0 :Text;
  doc @1 :Text;
  discriminant @2 :UInt16 = 0xffff; # 0xffff: not a member of the union
  hex @3 :Bool;                     # print in hexadecimal
  isGroup @4 :Bool;                 # type.index is the group's number in Descriptor.structs
  offset @5 :UInt32;                # in units of the field's size; a pointer's number
  defaultBits @6 :UInt64 $A.hex;    # of a scalar
  capabilityId @7 :UInt64 $A.hex;   # interface of `capability`, 0 = any or not a capability
  type @8 :DescribedType;
  capability @9 :Text;              # not empty: index of a capability of this interface or facet ("*" any)
  unit @10 :Text;
  defaultText @11 :Text;            # of a text
}

struct DescribedType {
  kind @0 :DescribedKind;
  index @1 :UInt16;                 # number of the struct or enum
  element @2 :DescribedType;        # of a list
}

enum DescribedKind {
  void @0;
  bool @1;
  int8 @2;
  int16 @3;
  int32 @4;
  int64 @5;
  uint8 @6;
  uint16 @7;
  uint32 @8;
  uint64 @9;
  float32 @10;
  float64 @11;
  text @12;
  data @13;
  list @14;
  struct @15;
  enum @16;
}

struct DescribedEnum {
  name @0 :Text;
  doc @1 :Text;
  enumerants @2 :List(DescribedEnumerant);
}

struct DescribedEnumerant {
  name @0 :Text;
  doc @1 :Text;
}
