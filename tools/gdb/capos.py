# SPDX-License-Identifier: MIT
"""The kernel's objects in words, for gdb attached to a machine (make gdb).

    capos processes         every process: number, name, state, threads, what it uses
    capos threads [NUMBER]  threads of all processes, or of one: state, processor, where the program stands
    capos table NUMBER      what a process holds: slot, interface, methods, whose, by which grant
    capos grants            the tree of grants from the kernel's own down
    capos ledgers           the ledgers in use: class, used, limit
    capos rings [NUMBER]    rings: entries, submitted, completed, what is under way

It only reads, and trusts what it reads no further than gdb does: a list that does not end is cut.
"""
import gdb

LIST_MOST = 100000
SLOTS_A_PAGE, PAGES_A_DIRECTORY = 64, 512


def type_of(name):
    return gdb.lookup_type("struct " + name)


def container(node, kind, member):
    """The struct of this kind around a node that is its member."""
    where = gdb.parse_and_eval(f"(unsigned long)&((struct {kind} *)0)->{member}")
    return gdb.Value(int(node) - int(where)).cast(type_of(kind).pointer()).dereference()


def in_list(head, kind, member):
    """What a struct list holds."""
    first = head["head"]
    node = first["next"]
    for _ in range(LIST_MOST):
        if int(node) == int(first.address) or int(node) == 0:
            return
        yield container(node, kind, member)
        node = node.dereference()["next"]
    print("  (the list does not end)")


def number(value):
    """Of an integer, atomic or not."""
    return int(value.cast(value.type.strip_typedefs().unqualified()) if value.type.code != gdb.TYPE_CODE_INT else value)


def text(value):
    return value.string(errors="replace") if value.type.code == gdb.TYPE_CODE_PTR else value.string("ascii", "replace").split("\0")[0]


def constants(enum, prefix):
    """Names of an enum's constants by value, without the prefix."""
    return {field.enumval: field.name[len(prefix):].lower().replace("_", " ") for field in gdb.lookup_type("enum " + enum).fields()
            if field.name.startswith(prefix)}


def classes():
    return constants("LedgerClass", "LEDGER_CLASS_")


def processes():
    table = gdb.parse_and_eval("'process.c'::classes")
    for i in range(table.type.range()[1] + 1):
        yield from in_list(table[i]["list"], "process", "class_link")


def chosen(argument):
    """All processes, or the one of that number."""
    found = [p for p in processes() if not argument or number(p["obj"]["id"]) == int(argument)]
    if not found:
        raise gdb.GdbError(f"no process has the number {argument}; `capos processes` lists them")
    return sorted(found, key=lambda p: number(p["obj"]["id"]))


def threads(process):
    yield from in_list(process["threads"], "thread", "process_link")


def named(process):
    return f"{text(process['name'])} ({number(process['obj']['id'])})"


def interface(ktype):
    if ktype == 0:
        return "served object"
    return text(gdb.parse_and_eval("kernel_interfaces")[ktype]["name"])


def show_processes(argument):
    states = constants("process_state", "PROCESS_")
    print(f"{'number':>7}  {'name':20} {'state':9} {'threads':>7} {'slots':>6} {'frames':>7} {'kernel pages':>12}")
    for process in chosen(argument):
        used = process["ledger"]["used"]
        by_name = {name: number(used[value]) for value, name in classes().items() if value <= used.type.range()[1]}
        print(f"{number(process['obj']['id']):7}  {text(process['name']):20} {states[number(process['state'])]:9} "
              f"{sum(1 for _ in threads(process)):7} {number(process['table']['used']):6} {by_name['frames']:7} "
              f"{by_name['kernel pages']:12}")


def show_threads(argument):
    states = constants("thread_state", "THREAD_")
    print(f"{'number':>7}  {'process':26} {'state':8} {'cpu':>3}  instruction")
    for process in chosen(argument):
        for thread in threads(process):
            place = number(thread["arch"]["frame"]["rip"])
            print(f"{number(thread['obj']['id']):7}  {named(process):26} {states[number(thread['state'])]:8} "
                  f"{number(thread['cpu']):3}  {place:#x} (image + {place - number(process['image_base']):#x})")


def slots(process):
    table = process["table"]
    for index in range(number(table["capacity"])):
        page = table["root"][index // (SLOTS_A_PAGE * PAGES_A_DIRECTORY)][index // SLOTS_A_PAGE % PAGES_A_DIRECTORY]
        slot = page[index % SLOTS_A_PAGE]
        if int(slot["object"]) != 0:
            yield index, slot


def show_table(argument):
    if not argument:
        raise gdb.GdbError("of which process? `capos processes` lists their numbers")
    for process in chosen(argument):
        print(f"{named(process)} holds {number(process['table']['used'])}")
        for index, slot in slots(process):
            live = number(slot["route"]["live"]) != 0
            print(f"  {index:5}  {interface(number(slot['ktype'])):18} methods {number(slot['facet']):#x}  object "
                  f"{number(slot['object']['id'])}  grant {number(slot['route']['id'])}{'' if live else ' (dead)'}: "
                  f"{text(slot['route']['origin'])}")


def show_grants(_):
    def below(grant, depth):
        mark = "" if number(grant["live"]) else "  (dead)"
        print(f"{'  ' * depth}{number(grant['id'])} {text(grant['origin'])}{mark}")
        for child in in_list(grant["children"], "grant", "link"):
            below(child, depth + 1)
    below(gdb.parse_and_eval("'main.c'::roots")["grant"].dereference(), 0)


def show_ledgers(_):
    seen = set()
    for process in chosen(""):
        ledger = process["ledger"]
        while int(ledger) != 0 and int(ledger) not in seen:
            seen.add(int(ledger))
            print(f"ledger '{text(ledger['name'])}', depth {number(ledger['depth'])}")
            for value, name in classes().items():
                if value <= ledger["used"].type.range()[1]:
                    used, limit = number(ledger["used"][value]), number(ledger["limit"][value])
                    if used:
                        print(f"  {name:16} {used:12} of {limit}")
            above = ledger["obj"]["ledger"]
            ledger = above


def show_rings(argument):
    print(f"{'thread':>7}  {'process':26} {'entries':>7} {'taken':>9} {'completed':>9} {'to reap':>8} {'under way':>9}  waits for")
    for process in chosen(argument):
        for thread in threads(process):
            ring = thread["ring"]
            waits = number(ring["wait_min"])
            print(f"{number(thread['obj']['id']):7}  {named(process):26} {number(ring['sq_entries']):7} {number(ring['sq_head']):9} "
                  f"{number(ring['cq_tail']):9} {number(ring['cq_tail']) - number(ring['cq_head_seen']):8} "
                  f"{number(ring['outstanding']):9}  {waits or '-'}")


SHOWS = {"processes": show_processes, "threads": show_threads, "table": show_table, "grants": show_grants,
         "ledgers": show_ledgers, "rings": show_rings}


class Capos(gdb.Command):
    __doc__ = __doc__

    def __init__(self):
        super().__init__("capos", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        words = argument.split()
        if not words or words[0] not in SHOWS:
            raise gdb.GdbError("capos " + " | ".join(SHOWS))
        SHOWS[words[0]](words[1] if len(words) > 1 else "")

    def complete(self, text, word):
        return [name for name in SHOWS if name.startswith(word)]


Capos()
