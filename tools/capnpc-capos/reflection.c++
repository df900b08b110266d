// SPDX-License-Identifier: MIT
#include "emit.h"
void emit_descriptors(const Model &, const SchemaFile &, const std::string &){}
void emit_interface_table(const Model &, const std::string &){}
void emit_docs(const Model &, const std::string &){}
int abi_check(const Model &, const std::string &, bool){return 0;}
