# SPDX-License-Identifier: MIT
@0x9e6f3bd5a4c1e7f2;

# Types for the tests of lib/capnp: every feature a message can use, and pairs of an older and a newer
# version of one struct.

enum TestColor { red @0; green @1; blueGreen @2; }

struct TestAll {
  void @0 :Void;
  bool @1 :Bool;
  int8 @2 :Int8;
  int16 @3 :Int16;
  int32 @4 :Int32;
  int64 @5 :Int64;
  uint8 @6 :UInt8;
  uint16 @7 :UInt16;
  uint32 @8 :UInt32;
  uint64 @9 :UInt64;
  float32 @10 :Float32;
  float64 @11 :Float64;
  text @12 :Text;
  data @13 :Data;
  child @14 :TestAll;
  color @15 :TestColor;
  voids @16 :List(Void);
  bools @17 :List(Bool);
  int8s @18 :List(Int8);
  int16s @19 :List(Int16);
  int32s @20 :List(Int32);
  int64s @21 :List(Int64);
  float32s @22 :List(Float32);
  float64s @23 :List(Float64);
  texts @24 :List(Text);
  datas @25 :List(Data);
  children @26 :List(TestAll);
  colors @27 :List(TestColor);
  matrix @28 :List(List(UInt32));
  tables @29 :List(List(TestPoint));
  secondBool @30 :Bool;
  union {
    none @31 :Void;
    number @32 :UInt32;
    name @33 :Text;
    point @34 :TestPoint;
    pair :group {
      first @35 :Text;
      second @36 :UInt64;
    }
    numbers @37 :List(UInt16);
  }
  choice :union {
    left @38 :UInt8;
    right @39 :TestPoint;
    inner :group {
      label @40 :Text;
      deep :union {
        a @41 :Void;
        b @42 :Data;
      }
    }
  }
}

struct TestPoint {
  x @0 :Int32;
  y @1 :Int32;
}

struct TestDefaults {
  bool @0 :Bool = true;
  int8 @1 :Int8 = -123;
  int16 @2 :Int16 = -12345;
  int32 @3 :Int32 = -12345678;
  int64 @4 :Int64 = -123456789012345;
  uint8 @5 :UInt8 = 234;
  uint16 @6 :UInt16 = 45678;
  uint32 @7 :UInt32 = 3456789012;
  uint64 @8 :UInt64 = 12345678901234567890;
  float32 @9 :Float32 = 1234.5;
  float64 @10 :Float64 = -123e45;
  color @11 :TestColor = blueGreen;
  text @12 :Text = "foo";
  data @13 :Data = 0x"62 61 72";
  point @14 :TestPoint = (x = 7, y = -9);
  numbers @15 :List(UInt16) = [1, 2, 3];
  texts @16 :List(Text) = ["quux", "corge"];
  points @17 :List(TestPoint) = [(x = 1), (y = 2)];
}

# Two versions of the same thing.
struct TestOld {
  old1 @0 :UInt32;
  old2 @1 :Text;
}

struct TestNew {
  old1 @0 :UInt32;
  old2 @1 :Text;
  new1 @2 :UInt64 = 987;
  new2 @3 :Text = "baz";
  new3 @4 :List(TestNew);
}

# A list that was of numbers, of texts, of small structs, and became one of larger structs.
struct TestListOld {
  numbers @0 :List(UInt32);
  texts @1 :List(Text);
  bools @2 :List(Bool);
  points @3 :List(TestPoint);
}

struct TestListNew {
  numbers @0 :List(Number);
  texts @1 :List(Named);
  bools @2 :List(Number);
  points @3 :List(Point3);

  struct Number {
    value @0 :UInt32;
    extra @1 :UInt32 = 5;
  }
  struct Named {
    name @0 :Text;
    extra @1 :UInt32 = 6;
  }
  struct Point3 {
    x @0 :Int32;
    y @1 :Int32;
    z @2 :Int32 = 8;
    label @3 :Text;
  }
}

struct TestFlat {
  a @0 :UInt64;
  b @1 :UInt32;
}

struct TestEmpty {}

struct TestEmpties {
  list @0 :List(TestEmpty);
  voids @1 :List(Void);
}

struct TestChain {
  next @0 :TestChain;
  others @1 :List(TestChain);
  mark @2 :UInt32;
}

const testAnswer :UInt32 = 42;
const testMotto :Text = "typed \"and\" bounded";
const testOrigin :TestPoint = (x = 3, y = 4);
const testPrimes :List(UInt16) = [2, 3, 5, 7];
