# SPDX-License-Identifier: MIT
"""Random values of a version, what another version must read of them, and what was printed compared with that."""

import re
import struct

from schemas import Group, is_list, is_pointer, is_simple, random_scalar


class Mismatch(Exception):
    pass


# ---- Making: {uid: value}, groups laid flat; of a union {its uid: uid of the member's first field} ----


class Maker:
    """`least` is the oldest version that can read what was made. Where a field went into a union and another member is
    chosen, versions before that look at the member's bytes as if they were the field's."""

    def __init__(self, rng, version):
        self.rng, self.version, self.least = rng, version, 0

    def value(self, kind, depth):
        if not is_simple(kind) and depth > 6:
            return zero(kind)
        if is_list(kind):
            return [self.value(kind[1], depth + 1) for _ in range(self.rng.randrange(4 if depth < 3 else 2))]
        if kind[0] == "struct":
            return self.fields(self.version.structs[kind[1]], depth + 1)
        return random_scalar(self.rng, kind, self.version)

    def fields(self, scope, depth=0):
        out = {}
        for member in scope.members:
            self.member(member, out, depth, False)
        if scope.union:
            union, first = scope.union, scope.union.first()
            chosen = first if union.wrapped and self.rng.random() < 0.8 else self.rng.choice(union.members)
            if chosen is not first:
                self.least = max(self.least, union.wrapped)
            out[union.uid] = chosen.lead()[1]
            self.member(chosen, out, depth, True)
        return out

    def member(self, member, out, depth, always):
        if isinstance(member, Group):
            out.update(self.fields(member, depth))
        elif always or self.rng.random() < (0.8 if depth < 4 or is_simple(member.kind) else 0.1):
            out[member.uid] = self.value(member.kind, depth)


# ---- What a version must read ----

ZEROS = {"Void": None, "Bool": False, "Text": "", "Data": b""}


def zero(kind):
    return ZEROS.get(kind, [] if is_list(kind) else {} if kind[0] == "struct" else 0)


class Expected:
    """`firsts`: the first fields of the structs that once were numbers or texts, as the writer has them."""

    def __init__(self, version, firsts=()):
        self.version, self.firsts = version, firsts

    def value(self, kind, value, nulls):
        if is_list(kind):
            return [self.element(kind[1], each, nulls) for each in value]
        if kind[0] == "struct":
            return self.scope(self.version.structs[kind[1]], value, nulls)
        return value

    def element(self, kind, value, nulls):
        """Elements that one of the versions has as structs and the other as their first fields."""
        if kind[0] == "struct" and not isinstance(value, dict):
            value = {self.version.structs[kind[1]].first_uid(): value}
        elif kind[0] != "struct" and isinstance(value, dict):
            value = next((value[uid] for uid in value if uid in self.firsts), zero(kind))
        return self.value(kind, value, nulls)

    def field(self, field, values, nulls):
        if field.uid in values:
            return self.value(field.kind, values[field.uid], nulls)
        return self.absent(field, nulls)

    def absent(self, field, nulls):
        if field.default is None:
            return self.value(field.kind, zero(field.kind), nulls + 1)
        return self.value(field.kind, field.default, nulls)

    def scope(self, scope, values, nulls=0):
        out = {}
        members = list(scope.members)
        if scope.union:
            uid = values.get(scope.union.uid, scope.union.first().lead()[1])
            members += [m for m in scope.union.members if m.lead()[1] == uid]
        for member in members:
            if isinstance(member, Group):
                out[member.name] = self.scope(member, values, nulls)
            elif not (nulls and member.kind[0] == "struct" and member.uid not in values and member.default is None):
                out[member.name] = self.field(member, values, nulls)
        return out


# ---- Reading what was printed ----

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[()\[\],=]|[^\s()\[\],="]+)', re.DOTALL)
ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", "a": b"\a", "b": b"\b", "f": b"\f", "v": b"\v"}


def literal(token):
    def one(match):
        code = match[1].decode()
        return bytes([int(code, 8)]) if code[0].isdigit() else bytes([int(code[1:], 16)]) if code[0] == "x" else \
            ESCAPES.get(code, code.encode())
    return re.sub(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{2}|.)", one, token[1:-1].encode(), flags=re.DOTALL)


def parse(text):
    """Structs are dicts, lists lists, strings bytes; the rest stays a word. An enumerant without a name, `(7)`, is its number."""
    tokens = TOKEN.findall(text)
    at = 0

    def take():
        nonlocal at
        at += 1
        return tokens[at - 1]

    def many(end, one):
        nonlocal at
        out = []
        while tokens[at] != end:
            out.append(one())
            if tokens[at] == ",":
                at += 1
        at += 1
        return out

    def field():
        name = take()
        if take() != "=":
            raise Mismatch("no field")
        return name, value()

    def value():
        nonlocal at
        token = take()
        if token == "(" and tokens[at].isdigit():
            at += 2
            return tokens[at - 2]
        if token == "(":
            return dict(many(")", field))
        if token == "[":
            return many("]", value)
        return literal(token) if token[0] == '"' else token

    return value()


class Comparison:
    """`stock`: the stock tool leaves out pointers that are null, and a first member of a union that is."""

    def __init__(self, version, stock):
        self.version, self.stock, self.expected = version, stock, Expected(version)

    def require(self, held, path, found, wanted):
        if not held:
            raise Mismatch(f"{path}: found {found!r}, wanted {wanted!r}")

    def value(self, kind, found, wanted, path):
        if is_list(kind):
            self.require(isinstance(found, list) and len(found) == len(wanted), path, found, wanted)
            for i, (one, other) in enumerate(zip(found, wanted)):
                self.value(kind[1], one, other, f"{path}[{i}]")
        elif kind[0] == "struct":
            self.require(isinstance(found, dict), path, found, wanted)
            self.scope(self.version.structs[kind[1]], found, wanted, path)
        else:
            self.require(self.scalar(kind, found) == wanted, path, found, wanted)

    def scalar(self, kind, found):
        if kind == "Void":
            return None if found == "void" else found
        if kind == "Bool":
            return {"true": True, "false": False}.get(found, found)
        if kind == "Text":
            return found.decode() if isinstance(found, bytes) else found
        if kind == "Data":
            return found
        if kind[0] == "enum":
            names = self.version.enums[kind[1]].enumerants
            return names.index(found) if found in names else int(found)
        if kind == "Float32":
            return struct.unpack("f", struct.pack("f", float(found)))[0]
        return float(found) if kind == "Float64" else int(found)

    def scope(self, scope, found, wanted, path):
        members = {member.name: member for member in scope.all_members()}
        self.require(not set(found) - set(wanted), path, sorted(found), sorted(wanted))
        for name, value in wanted.items():
            member = members[name]
            where = f"{path}.{name}"
            of_union = scope.union is not None and member in scope.union.members
            if isinstance(member, Group):
                self.require(name in found or (self.stock and of_union), where, found, value)
                self.scope(member, found.get(name, {}), value, where)
            elif name in found:
                self.value(member.kind, found[name], value, where)
            else:
                may = self.stock and (is_pointer(member.kind) or of_union)
                self.require(may and value == self.expected.absent(member, 0), where, "nothing", value)
