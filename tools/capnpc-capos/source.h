// SPDX-License-Identifier: MIT
// Where in its file something is declared: the compiler's request does not tell.
#pragma once

#include <string>

// Line of the declaration with this dotted path below the file ("Outer.Inner.member"); 0 when it
// cannot be found. The name of a method's parameter follows the method's.
unsigned declaration_line(const std::string &text, const std::string &path);

// The text of a schema file named in a request, looked for where builds put it; "" when not found.
// *found becomes the path by which it was found.
std::string read_schema_source(const std::string &path, std::string *found);
