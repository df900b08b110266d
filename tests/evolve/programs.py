# SPDX-License-Identifier: MIT
"""The C of one version: it writes messages through the generated builders and prints what the generated readers see."""

import re

from schemas import INTS, Group, is_list

PRELUDE = r"""/* Made by tests/evolve. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/capnp/capnp.h"
%(includes)s

static uint64_t room[32768];

static void put_text(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    putchar('"');
    for (size_t i = 0; i < len; i++) {
        printf("\\%%03o", at[i]);
    }
    putchar('"');
}

static void put_message(struct capnp_builder *b)
{
    size_t len = 0;
    enum capnp_status status = capnp_finish(b, &len);
    if (status != CAPNP_OK) {
        fprintf(stderr, "building: %%s\n", capnp_status_name(status));
        exit(1);
    }
    uint32_t head = (uint32_t)len;
    fwrite(&head, 4, 1, stdout);
    fwrite(room, 1, len, stdout);
}
"""

MAIN = r"""
int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "write") == 0) {
        write_all();
        return 0;
    }
    uint32_t head[2]; /* which root, how many bytes */
    while (fread(head, 4, 2, stdin) == 2) {
        void *message = malloc(head[1]); /* ends where the message ends */
        if (message == NULL || fread(message, 1, head[1], stdin) != head[1]) {
            return 1;
        }
        read_one(head[0], message, head[1]);
        putchar('\n');
        free(message);
    }
    return 0;
}
"""


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def suffix(kind):
    if kind in INTS:
        return f"{kind[0].lower()}{INTS[kind]}"
    return {"Bool": "bool", "Float32": "f32", "Float64": "f64"}.get(kind, "u16")


def wire_kind(kind):
    if is_list(kind):
        return "CAPNP_KIND_LIST"
    bits = INTS.get(kind) or {"Float32": 32, "Float64": 64}.get(kind, 16)
    return {"Void": "CAPNP_KIND_VOID", "Bool": "CAPNP_KIND_BOOL", "Text": "CAPNP_KIND_TEXT",
            "Data": "CAPNP_KIND_DATA"}.get(kind, f"CAPNP_KIND_BITS{bits}")


def bytes_of(value):
    return value.encode() if isinstance(value, str) else value


def c_string(value):
    return '"' + "".join(f"\\{byte:03o}" for byte in bytes_of(value)) + '"'


class Code:
    def __init__(self, version):
        self.version, self.lines, self.variables = version, [], 0

    def line(self, text):
        self.lines.append(text)

    def variable(self):
        self.variables += 1
        return f"v{self.variables}"

    def c_literal(self, kind, value):
        if kind == "Bool":
            return "true" if value else "false"
        if kind[0] == "enum":
            return f"(enum {self.version.enums[kind[1]].name}){value}"
        if kind == "Float32":
            return f"{value!r}F"
        if kind == "Float64":
            return repr(value)
        if kind in INTS:
            bits = (1 << INTS[kind]) - 1
            return f"({kind.lower()}_t)UINT64_C({value & bits})"
        return str(value)

    # ---- Writing ----

    def set_scope(self, scope, name, var, values):
        members = list(scope.members)
        if scope.union and scope.union.uid in values:
            members += [m for m in scope.union.members if m.lead()[1] == values[scope.union.uid]]
        for member in members:
            f = snake(member.name)
            if isinstance(member, Group):
                inner = self.variable()
                self.line(f"{name}_{f}_b {inner} = {name}_init_{f}({var}); (void){inner};")
                self.set_scope(member, f"{name}_{f}", inner, values)
            elif member.uid in values:
                self.set_field(member.kind, name, f, var, values[member.uid])

    def set_field(self, kind, name, f, var, value):
        if kind == "Void":
            self.line(f"{name}_set_{f}({var});")
        elif kind in ("Text", "Data"):
            self.line(f"{name}_set_{f}({var}, {c_string(value)}, {len(bytes_of(value))});")
        elif kind[0] == "struct":
            s = self.version.structs[kind[1]]
            inner = self.variable()
            self.line(f"{s.name}_b {inner} = {name}_init_{f}({var}); (void){inner};")
            self.set_scope(s, s.name, inner, value)
        elif is_list(kind):
            self.fill_list(kind[1], f"{name}_init_{f}({var}, {len(value)})", value)
        else:
            self.line(f"{name}_set_{f}({var}, {self.c_literal(kind, value)});")

    def fill_list(self, kind, start, value):
        var = self.variable()
        if kind[0] == "struct":
            s = self.version.structs[kind[1]]
            self.line(f"{s.name}_list_b {var} = {start}; (void){var};")
            for i, each in enumerate(value):
                inner = self.variable()
                self.line(f"{s.name}_b {inner} = {s.name}_list_b_at({var}, {i}); (void){inner};")
                self.set_scope(s, s.name, inner, each)
            return
        self.line(f"struct capnp_list_b {var} = {start}; (void){var};")
        for i, each in enumerate(value):
            if kind in ("Text", "Data"):
                self.line(f"capnp_{kind.lower()}_list_set({var}, {i}, {c_string(each)}, {len(bytes_of(each))});")
            elif is_list(kind) and kind[1][0] == "struct":
                inner = self.version.structs[kind[1][1]].name
                self.fill_list(kind[1], f"{inner}_list_list_init({var}, {i}, {len(each)})", each)
            elif is_list(kind):
                self.fill_list(kind[1], f"capnp_list_list_init({var}, {i}, {wire_kind(kind[1])}, {len(each)})", each)
            elif kind != "Void":
                cast = "(uint16_t)" if kind[0] == "enum" else ""
                self.line(f"capnp_list_{suffix(kind)}_set({var}, {i}, {cast}{self.c_literal(kind, each)});")

    def writer(self, number, sid, values):
        s = self.version.structs[sid]
        self.line(f"static void {self.version.tag}write{number}(void)\n{{")
        self.line("struct capnp_builder b;\ncapnp_builder_init(&b, room, sizeof(room));")
        self.line(f"{s.name}_b root = {s.name}_init(&b); (void)root;")
        self.set_scope(s, s.name, "root", values)
        self.line("put_message(&b);\n}")

    # ---- Printing ----

    def put_scalar(self, kind, expression):
        if kind == "Void":
            return 'fputs("void", stdout);'
        if kind == "Bool":
            return f'fputs({expression} ? "true" : "false", stdout);'
        if kind in ("Text", "Data"):
            return f"{{ struct capnp_{kind.lower()} t = {expression}; put_text(t.ptr, t.len); }}"
        if kind in ("Float32", "Float64"):
            return f'printf("%.17g", (double){expression});'
        if kind[0] == "I":
            return f'printf("%lld", (long long){expression});'
        return f'printf("%llu", (unsigned long long){expression});'

    def put_list(self, kind, start):
        var, i = self.variable(), self.variable()
        s = self.version.structs[kind[1]].name if kind[0] == "struct" else None
        self.line(f"{{ {s + '_list_r' if s else 'struct capnp_list'} {var} = {start};\nputchar('[');")
        count = f"{s}_list_len({var})" if s else f"capnp_list_len({var})"
        self.line(f"for (uint32_t {i} = 0; {i} < {count}; {i}++) {{")
        self.line(f'if ({i} > 0) {{ fputs(", ", stdout); }}')
        if s:
            self.line(f"put_{s}({s}_list_at({var}, {i}), nulls);")
        elif is_list(kind):
            inner = self.version.structs[kind[1][1]].name + "_list" if kind[1][0] == "struct" else "capnp_list"
            self.put_list(kind[1], f"{inner}_list_at({var}, {i})")
        elif kind in ("Text", "Data"):
            self.line(self.put_scalar(kind, f"capnp_{kind.lower()}_list_at({var}, {i})"))
        else:
            self.line(self.put_scalar(kind, f"capnp_list_{suffix(kind)}_at({var}, {i})"))
        self.line("}\nputchar(']'); }")

    def put_member(self, member, name, var):
        f = snake(member.name)
        title = f'fputs("{member.name} = ", stdout);'
        comma = 'fputs(", ", stdout);'
        if isinstance(member, Group):
            inner = self.variable()
            self.line(f"{title} {{ {name}_{f}_r {inner} = {name}_get_{f}({var}); (void){inner};")
            self.put_scope(member, f"{name}_{f}", inner)
            self.line(f"}} {comma}")
        elif member.kind[0] == "struct":
            s = self.version.structs[member.kind[1]].name
            known = "true" if member.default is not None else f"{name}_has_{f}({var})"
            self.line(f"if ({known} || nulls == 0) {{ {title} put_{s}({name}_get_{f}({var}), {known} ? nulls : nulls + 1); {comma} }}")
        elif is_list(member.kind):
            self.line(title)
            # The elements of a list that is absent are none: no depth to count.
            self.put_list(member.kind[1], f"{name}_get_{f}({var})")
            self.line(comma)
        else:
            self.line(f"{title} {self.put_scalar(member.kind, f'{name}_get_{f}({var})')} {comma}")

    def put_scope(self, scope, name, var):
        self.line("putchar('(');")
        for member in scope.members:
            self.put_member(member, name, var)
        if scope.union:
            self.line(f"switch ((unsigned){name}_which({var})) {{")
            for member in scope.union.members:
                constant = f"{snake(name)}_which_{snake(member.name)}".upper()
                self.line(f"case {constant}: {{")
                self.put_member(member, name, var)
                self.line("break; }")
            self.line("default: break; /* a member that this version does not know */\n}")
        self.line("putchar(')');")

    def readers(self):
        structs = self.version.structs.values()
        for s in structs:
            if not s.of_method:
                self.line(f"static void put_{s.name}({s.name}_r r, unsigned nulls);")
        for s in structs:
            self.line(f"static void put_{s.name}({s.name}_r r, unsigned nulls)\n{{\n(void)nulls; (void)r;")
            self.put_scope(s, s.name, "r")
            self.line("}")
        for i, m in enumerate(self.version.methods):
            self.line(f'_Static_assert({self.version.tag}I_{m.name}_ORDINAL == {i}, "a method keeps its ordinal");')


def program(versions, messages):
    """`versions` by lineage; `messages` of each lineage: (sid, values). Root number: lineage * 64 + sid."""
    out = [PRELUDE % {"includes": "\n".join(f'#include "{v.tag.lower()}.capnp.h"' for v in versions)}]
    calls, roots = [], []
    for lineage, (version, own) in enumerate(zip(versions, messages)):
        code = Code(version)
        code.readers()
        for number, (sid, values) in enumerate(own):
            code.writer(number, sid, values)
            calls.append(f"{version.tag}write{number}();")
        for sid in [0] + [sid for m in version.methods for sid in (m.params, m.results)]:
            name = version.structs[sid].name
            roots.append(f"case {lineage * 64 + sid}: {{ {name}_r r; s = {name}_read(m, n, &r); "
                         f"if (s == CAPNP_OK) {{ put_{name}(r, 0); }} break; }}")
        out += code.lines
    out.append("static void write_all(void)\n{\n" + "\n".join(calls) + "\n}")
    out.append("static void read_one(uint32_t root, const void *m, uint32_t n)\n{\nenum capnp_status s = CAPNP_BAD_USE;\n"
               "switch (root) {\n" + "\n".join(roots) + "\ndefault: break;\n}\n"
               'if (s != CAPNP_OK) { printf("refused %s", capnp_status_name(s)); }\n}')
    return "\n".join(out) + MAIN
