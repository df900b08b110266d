# SPDX-License-Identifier: MIT
@0xa3031170180c3cb9;

using A = import "annotations.capnp";

interface KernelLog $A.kernel $A.kernelType(13) $A.transfer(copy) $A.scope(sameSession) {
  # The kernel log.

  append @0 (text :Text) -> () $A.maxParams(1088) $A.statuses(["badArgument", "quota"]);
  # One record of at most 1024 bytes; control bytes are escaped; the kernel adds time and process name.

  read @1 (sequence :UInt64, maxBytes :UInt32) -> (text :Text, next :UInt64, lost :UInt64) $A.maxResults(8192) $A.statuses(["badArgument"]);
  # Records from this sequence on, newline-separated, at most 96 of them; lost tells how many were dropped before it.
}

interface LogWriter $A.facet(base = "KernelLog", methods = ["append"]) {}
interface LogReader $A.facet(base = "KernelLog", methods = ["read"]) {}
