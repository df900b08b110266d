# SPDX-License-Identifier: MIT
"""Random schemas, their text, and random edits of them.

A lineage is one schema in several versions. Every field, group and union has a number of its own (`uid`) that it keeps from
version to version, whatever its name and place: by it values of one version are found again in another.
"""

import copy
import random
import struct

INTS = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64, "UInt8": 8, "UInt16": 16, "UInt32": 32, "UInt64": 64}
SCALARS = ["Bool", *INTS, "Float32", "Float64"]
# A list of these may become a list of structs whose first field they are: not of bools, which have no bytes of their own.
UPGRADABLE = [*INTS, "Float32", "Float64", "Text", "Data"]


def is_list(kind):
    return kind[0] == "list"


def is_pointer(kind):
    return kind in ("Text", "Data") or kind[0] in ("list", "struct")


class Field:
    def __init__(self, uid, ordinal, kind, default=None):
        self.uid, self.ordinal, self.kind, self.default = uid, ordinal, kind, default
        self.name = f"f{uid}"

    def lead(self):
        """(ordinal, uid) of the field with the lowest ordinal: what numbers a member of a union."""
        return (self.ordinal, self.uid)

    def fields(self):
        return [self]


class Union:
    """`wrapped` is the version that moved an existing field into it, the first; `ordinal` is its own, or None."""

    def __init__(self, uid, members, ordinal=None, wrapped=0):
        self.uid, self.members, self.ordinal, self.wrapped = uid, members, ordinal, wrapped

    def first(self):
        return min(self.members, key=lambda member: member.lead())


class Scope:
    """What structs and groups have in common: members, and at most one union without a name."""

    def __init__(self, name, members, union=None):
        self.name, self.members, self.union = name, members, union

    def all_members(self):
        return self.members + (self.union.members if self.union else [])

    def fields(self):
        return [field for member in self.all_members() for field in member.fields()]

    def scopes(self):
        yield self
        for member in self.all_members():
            if isinstance(member, Group):
                yield from member.scopes()


class Group(Scope):
    def __init__(self, uid, members, union=None):
        super().__init__(f"g{uid}", members, union)
        self.uid = uid

    def lead(self):
        return min(member.lead() for member in self.all_members())


class Struct(Scope):
    """`of_method`: the parameters or results of a method, a plain list of fields."""

    def __init__(self, sid, name, of_method=False):
        super().__init__(name, [])
        self.sid, self.of_method, self.ordinals = sid, of_method, 0

    def first_uid(self):
        return min(field.lead() for field in self.fields())[1]


class Enum:
    def __init__(self, name, enumerants):
        self.name, self.enumerants = name, enumerants


class Method:
    def __init__(self, name, params, results):
        self.name, self.params, self.results = name, params, results


class Version:
    """One version of a lineage. `tag` begins the names of its types; the root is struct 0."""

    def __init__(self, tag):
        self.tag, self.number, self.uids, self.order = tag, 0, 0, 0
        self.structs, self.enums, self.methods = {}, [], []
        self.firsts = set()  # first fields of structs that were numbers, texts or data before

    def uid(self):
        self.uids += 1
        return self.uids

    def lists_of(self, sid):
        return ("list", ("struct", sid))


# ---- Making ----


def random_kind(rng, version, sid, depth=0):
    """The type of a field of struct `sid`. Structs refer to later ones, or to themselves: a chain of types ends."""
    roll = rng.random()
    if roll < 0.5 or depth > 1:
        return rng.choice(SCALARS)
    if roll < 0.64:
        return rng.choice(["Text", "Data"])
    if roll < 0.7 and version.enums:
        return ("enum", rng.randrange(len(version.enums)))
    if roll < 0.73 and depth == 0:
        return "Void"
    later = [other for other, s in version.structs.items() if not s.of_method and (other > sid or (other == sid and depth == 0))]
    if roll < 0.83 and later:
        return ("struct", rng.choice(later))
    return ("list", random_kind(rng, version, sid, depth + 1))


def random_scalar(rng, kind, version):
    """A value of a type without parts, of every size, in the middle and at the ends."""
    if kind == "Void":
        return None
    if kind == "Bool":
        return rng.random() < 0.5
    if kind in INTS:
        bits = rng.choice([1, 7, INTS[kind]])
        value = rng.choice([rng.getrandbits(bits), (1 << INTS[kind]) - 1, 1 << (INTS[kind] - 1)])
        value &= (1 << INTS[kind]) - 1
        return value - (1 << INTS[kind]) if kind[0] == "I" and value >> (INTS[kind] - 1) else value
    if kind == "Float32":
        return rng.randrange(-1 << 16, 1 << 16) / 8  # no more digits than the stock tool prints
    if kind == "Float64":
        return rng.randrange(-1 << 50, 1 << 50) / 1024
    if kind == "Text":
        return "".join(rng.choice("abc XYZ\"\\\n09é→") for _ in range(rng.randrange(12)))
    if kind == "Data":
        return bytes(rng.randrange(256) for _ in range(rng.randrange(12)))
    return rng.randrange(len(version.enums[kind[1]].enumerants))


def is_simple(kind):
    return kind[0] not in ("list", "struct")


def random_default(rng, kind, version, sid):
    """A default, or None for none. Structs that may hold their own kind have none: they would never end."""
    if kind == "Void" or rng.random() < 0.6:
        return None
    if is_simple(kind):
        return random_scalar(rng, kind, version)
    if is_list(kind):
        if not is_simple(kind[1]) or kind[1] == "Void":
            return None
        return [random_scalar(rng, kind[1], version) for _ in range(rng.randrange(1, 4))]
    if kind[1] == sid:
        return None
    plain = [m for m in version.structs[kind[1]].members if isinstance(m, Field) and is_simple(m.kind) and m.kind != "Void"]
    return {m.uid: random_scalar(rng, m.kind, version) for m in plain[:2]} if plain else None


def new_field(rng, version, s, kind=None):
    kind = kind or random_kind(rng, version, s.sid)
    field = Field(version.uid(), s.ordinals, kind, random_default(rng, kind, version, s.sid))
    s.ordinals += 1
    return field


def new_member(rng, version, s):
    """A field, or a group of one or two."""
    if rng.random() < 0.7:
        return new_field(rng, version, s)
    return Group(version.uid(), [new_field(rng, version, s) for _ in range(rng.randrange(1, 3))])


def take_ordinal(rng, s):
    """Sometimes a union has an ordinal of its own: its discriminant is then placed at once, not with the second member.
    Only one with a name can."""
    if rng.random() < 0.6:
        return None
    s.ordinals += 1
    return s.ordinals - 1


def new_union(rng, version, s):
    ordinal = take_ordinal(rng, s)
    return Union(version.uid(), [new_member(rng, version, s) for _ in range(rng.randrange(2, 4))], ordinal)


def place_union(rng, version, scope, union):
    """Without a name, or as a named one, which is a group of nothing else."""
    if scope.union is None and union.ordinal is None and rng.random() < 0.5:
        scope.union = union
    else:
        scope.members.append(Group(version.uid(), [], union))


def new_struct(rng, version, of_method=False, name=None):
    sid = len(version.structs)
    s = Struct(sid, name or f"{version.tag}S{sid}", of_method)
    version.structs[sid] = s
    return s


def new_method(rng, version):
    index = len(version.methods)
    name = f"m{index}"
    sides = []
    for side in ("params", "results"):
        s = new_struct(rng, version, True, f"{version.tag}I_{name}_{side}")
        s.members = [new_field(rng, version, s) for _ in range(rng.randrange(1, 4))]
        sides.append(s.sid)
    version.methods.append(Method(name, *sides))


def first_version(rng, tag):
    version = Version(tag)
    for index in range(rng.randrange(1, 3)):
        version.enums.append(Enum(f"{tag}E{index}", [f"e{n}" for n in range(rng.randrange(1, 4))]))
    structs = [new_struct(rng, version) for _ in range(rng.randrange(2, 5))]
    # The last first: a default of a struct needs to know its fields.
    for s in reversed(structs):
        s.members = [new_field(rng, version, s) for _ in range(rng.randrange(1, 6))]
        for _ in range(rng.randrange(3)):
            place_union(rng, version, s, new_union(rng, version, s))
        if rng.random() < 0.4:
            s.members.append(Group(version.uid(), [new_field(rng, version, s) for _ in range(rng.randrange(1, 3))]))
    root = version.structs[0]
    root.members += [new_field(rng, version, root, ("struct", s.sid)) for s in structs[1:]]
    root.members += [new_field(rng, version, root, version.lists_of(s.sid)) for s in structs[1:]]
    root.members.append(new_field(rng, version, root, ("list", rng.choice(UPGRADABLE))))
    new_method(rng, version)
    version.order = rng.getrandbits(32)
    return version


# ---- Compatible edits: each changes the version, or gives False where there is nothing for it to change ----


def pick_struct(rng, version):
    return rng.choice([s for s in version.structs.values() if not s.of_method])


def pick_scope(rng, version):
    """Not a union with an ordinal: it cannot be written as a group that has other members too."""
    s = pick_struct(rng, version)
    return s, rng.choice([scope for scope in s.scopes() if scope.union is None or scope.union.ordinal is None])


def add_field(rng, version):
    s, scope = pick_scope(rng, version)
    scope.members.append(new_field(rng, version, s))
    return True


def add_param(rng, version):
    s = rng.choice([s for s in version.structs.values() if s.of_method])
    s.members.append(new_field(rng, version, s))
    return True


def add_union_member(rng, version):
    found = [(s, scope) for s in version.structs.values() for scope in s.scopes() if scope.union]
    if not found:
        return False
    s, scope = rng.choice(found)
    scope.union.members.append(new_member(rng, version, s))
    return True


def add_group(rng, version):
    s, scope = pick_scope(rng, version)
    scope.members.append(Group(version.uid(), [new_field(rng, version, s) for _ in range(rng.randrange(1, 4))]))
    return True


def add_union(rng, version):
    s, scope = pick_scope(rng, version)
    place_union(rng, version, scope, new_union(rng, version, s))
    return True


def wrap_in_union(rng, version):
    """A field becomes the first member of a new union, which the compiler takes without an ordinal only."""
    s, scope = pick_scope(rng, version)
    fields = [m for m in scope.members if isinstance(m, Field)]
    if not fields:
        return False
    field = rng.choice(fields)
    union = Union(version.uid(), [field, new_member(rng, version, s)], None, version.number)
    scope.members.remove(field)
    place_union(rng, version, scope, union)
    return True


def wrap_in_group(rng, version):
    """A field, of a union or not, becomes part of a new group."""
    s, scope = pick_scope(rng, version)
    holder = rng.choice([scope.members] + ([scope.union.members] if scope.union else []))
    fields = [m for m in holder if isinstance(m, Field)]
    if not fields:
        return False
    field = rng.choice(fields)
    holder[holder.index(field)] = Group(version.uid(), [field, new_field(rng, version, s)])
    return True


def upgrade_list(rng, version):
    """A list of numbers, texts or data becomes one of structs whose first field they are."""
    found = [f for s in version.structs.values() for f in s.fields()
             if is_list(f.kind) and f.kind[1] in UPGRADABLE and f.default is None]
    if not found:
        return False
    field = rng.choice(found)
    s = new_struct(rng, version)
    s.members.append(Field(version.uid(), 0, field.kind[1]))
    version.firsts.add(s.members[0].uid)
    s.ordinals = 1
    s.members += [new_field(rng, version, s) for _ in range(rng.randrange(3))]
    field.kind = version.lists_of(s.sid)
    return True


def rename(rng, version):
    """Names are not in messages. The root keeps its own, by which it is asked for."""
    things = [s for s in version.structs.values() if not s.of_method and s.sid != 0] + version.enums
    things += [member for s in version.structs.values() for scope in s.scopes() for member in scope.all_members()] * 2
    rng.choice(things).name += rng.choice("XyZ")
    enum = rng.choice(version.enums)
    enum.enumerants[rng.randrange(len(enum.enumerants))] += "Named"
    return True


def add_enumerant(rng, version):
    enum = rng.choice(version.enums)
    enum.enumerants.append(f"e{len(enum.enumerants)}")
    return True


def add_method(rng, version):
    new_method(rng, version)
    return True


EDITS = [add_field, add_field, add_param, add_union_member, add_union_member, add_group, add_union, wrap_in_union,
         wrap_in_group, upgrade_list, rename, add_enumerant, add_method]
# These add and change nothing: programs that were built before go on as they are.
PURE_ADDITIONS = [add_field, add_union_member, add_group, add_enumerant, add_method]


def next_version(rng, before, edits):
    """A copy with so many edits, and the names of what was done."""
    version = copy.deepcopy(before)
    version.number += 1
    done = []
    while len(done) < edits:
        edit = rng.choice(EDITS)
        if edit(rng, version):
            done.append(edit.__name__)
    version.order = rng.getrandbits(32)  # the declarations stand in another order
    return version, done


# ---- Incompatible edits ----


def holders(version):
    """(struct, list of members, the fewest it may have) of every place that has members."""
    for s in version.structs.values():
        for scope in s.scopes():
            yield s, scope.members, 0 if scope is s or scope.union else 1
            if scope.union:
                yield s, scope.union.members, 2


def retype(rng, version):
    fields = [f for s in version.structs.values() for f in s.fields()]
    field = rng.choice(fields)
    kinds = [kind for kind in SCALARS + ["Text", "Data"] if kind != field.kind]
    field.kind, field.default = rng.choice(kinds), None
    return True


def redefault(rng, version):
    fields = [f for s in version.structs.values() for f in s.fields() if f.default is not None]
    if not fields:
        return False
    # Values with parts are compared in another way than those without.
    with_parts = [f for f in fields if not is_simple(f.kind)]
    field = rng.choice(with_parts if with_parts and rng.random() < 0.7 else fields)
    before = copy.deepcopy(field.default)
    for _ in range(50):
        if is_simple(field.kind):
            field.default = random_scalar(rng, field.kind, version)
        elif is_list(field.kind):
            field.default = field.default[:rng.randrange(2)] + [random_scalar(rng, field.kind[1], version)]
        else:
            kinds = {f.uid: f.kind for f in version.structs[field.kind[1]].fields()}
            field.default = {uid: random_scalar(rng, kinds[uid], version) for uid in field.default}
        if field.default != before:
            return True
    return False


def remove_last(rng, version):
    """The field with the highest ordinal goes: any other would leave a gap, which the compiler refuses."""
    found = [(s, members) for s, members, least in holders(version) for m in members
             if isinstance(m, Field) and m.ordinal == s.ordinals - 1 and len(members) > least]
    if not found:
        return False
    s, members = rng.choice(found)
    members[:] = [m for m in members if not (isinstance(m, Field) and m.ordinal == s.ordinals - 1)]
    return True


def swap_ordinals(rng, version):
    """Two fields of one type: each then lies where the other did. Of other types they may both stay where they were."""
    pairs = [(s, one, other) for s in version.structs.values() for one in s.members for other in s.members
             if isinstance(one, Field) and isinstance(other, Field) and one.ordinal < other.ordinal
             and one.kind == other.kind != "Void"]
    if not pairs:
        return False
    _, one, other = rng.choice(pairs)
    one.ordinal, other.ordinal = other.ordinal, one.ordinal
    return True


def remove_enumerant(rng, version):
    enums = [enum for enum in version.enums if len(enum.enumerants) > 1]
    used = [f for s in version.structs.values() for f in s.fields() if f.default is not None and "enum" in str(f.kind)]
    if not enums or used:
        return False
    enum = rng.choice(enums)
    del enum.enumerants[rng.randrange(len(enum.enumerants))]
    return True


def remove_method(rng, version):
    del version.methods[rng.randrange(len(version.methods))]
    return True


def swap_methods(rng, version):
    if len(version.methods) < 2:
        return False
    version.methods.reverse()
    return True


INCOMPATIBLE = [retype, remove_last, swap_ordinals, remove_enumerant, remove_method, swap_methods]
# Of these some only give things other places or numbers.
MOVES = ["swap_ordinals", "remove_enumerant"]


# ---- Text ----


def kind_text(version, kind):
    if is_list(kind):
        return f"List({kind_text(version, kind[1])})"
    if kind[0] == "struct":
        return version.structs[kind[1]].name
    return version.enums[kind[1]].name if kind[0] == "enum" else kind


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def value_text(version, kind, value):
    """A value as schemas and the stock tool spell it."""
    if kind == "Void":
        return "void"
    if kind == "Bool":
        return "true" if value else "false"
    if kind == "Float32":
        return repr(struct.unpack("f", struct.pack("f", value))[0])
    if kind == "Text":
        return quoted(value)
    if kind == "Data":
        return '0x"' + value.hex(" ") + '"' if value else '""'
    if kind[0] == "enum":
        return version.enums[kind[1]].enumerants[value]
    if is_list(kind):
        return "[" + ", ".join(value_text(version, kind[1], each) for each in value) + "]"
    if kind[0] == "struct":
        return struct_text(version, version.structs[kind[1]], value)
    return str(value)


def struct_text(version, scope, values):
    """The fields that have a value, and of a union the member that is chosen."""
    parts = []
    members = list(scope.members)
    if scope.union:
        # A default was made before its field went into a union.
        chosen = values.get(scope.union.uid, scope.union.first().lead()[1])
        members += [m for m in scope.union.members if m.lead()[1] == chosen
                    and (scope.union.uid in values or any(f.uid in values for f in m.fields()))]
    for member in members:
        if isinstance(member, Group):
            parts.append(f"{member.name} = {struct_text(version, member, values)}")
        elif member.uid in values:
            parts.append(f"{member.name} = {value_text(version, member.kind, values[member.uid])}")
    return "(" + ", ".join(parts) + ")"


class Printer:
    """The schema of a version, its declarations in an order of its own."""

    def __init__(self, version):
        self.version = version
        self.rng = random.Random(version.order)

    def field(self, field):
        text = kind_text(self.version, field.kind)
        if field.default is not None:
            text += " = " + value_text(self.version, field.kind, field.default)
        return text

    def members(self, members, indent):
        out = []
        for member in members:
            if isinstance(member, Field):
                out.append([f"{indent}{member.name} @{member.ordinal} :{self.field(member)};"])
            elif member.members or (member.union.ordinal is None and self.rng.random() < 0.3):
                out.append([f"{indent}{member.name} :group {{", *self.scope(member, indent + "  "), indent + "}"])
            else:
                ordinal = "" if member.union.ordinal is None else f"@{member.union.ordinal}! "
                out.append([f"{indent}{member.name} {ordinal}:union {{",
                            *self.shuffled(member.union.members, indent + "  "), indent + "}"])
        return out

    def shuffled(self, members, indent, more=()):
        blocks = self.members(members, indent) + list(more)
        self.rng.shuffle(blocks)
        return [line for block in blocks for line in block]

    def scope(self, scope, indent):
        more = []
        if scope.union:
            more = [[f"{indent}union {{", *self.shuffled(scope.union.members, indent + "  "), indent + "}"]]
        return self.shuffled(scope.members, indent, more)

    def side(self, sid):
        fields = sorted(self.version.structs[sid].members, key=lambda field: field.ordinal)
        return "(" + ", ".join(f"{f.name} :{self.field(f)}" for f in fields) + ")"

    def file(self, file_id):
        blocks = [[f"struct {s.name} {{", *self.scope(s, "  "), "}"]
                  for s in self.version.structs.values() if not s.of_method]
        for enum in self.version.enums:
            names = [f"  {name} @{i};" for i, name in enumerate(enum.enumerants)]
            self.rng.shuffle(names)
            blocks.append([f"enum {enum.name} {{", *names, "}"])
        methods = [f"  {m.name} @{i} {self.side(m.params)} -> {self.side(m.results)} $A.maxParams(4096) $A.maxResults(4096);"
                   for i, m in enumerate(self.version.methods)]
        self.rng.shuffle(methods)
        blocks.append([f"interface {self.version.tag}I {{", *methods, "}"])
        self.rng.shuffle(blocks)
        lines = [f"@0x{file_id:016x};", 'using A = import "/annotations.capnp";']
        return "\n".join(lines + [line for block in blocks for line in block]) + "\n"
