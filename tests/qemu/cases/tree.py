# SPDX-License-Identifier: MIT
"""The tools that guard the tree are themselves tested: each check is shown to fail."""

import contextlib
import glob
import hashlib
import importlib.machinery
import importlib.util
import io
import os
import shutil
import subprocess
import tempfile

from case import case


def run(t, *command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    t.require(done.returncode == 0, f"{' '.join(command)} succeeds", done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout


@case("tree.checks", "each check of the tree's text fails on a tree with that fault")
def checks_can_fail(t):
    run(t, "tools/check", "--prove")


@case("tree.includes", "each kind of wrong include is found")
def includes_can_fail(t):
    run(t, "tools/check-includes", "--prove")


# What is changed in abi/, and what the check must then say.
ABI_DRIFTS = (
    ("ring.h", "CAPOS_OP_CALL = 1,", "CAPOS_OP_CALL = 2,", "~ number CAPOS_OP_CALL: value 1 -> 2   [source-compatible]"),
    ("ring.h", "CAPOS_SQE_KEEP = 1 << 2,", "CAPOS_SQE_KEEP = 1 << 9,", "~ number CAPOS_SQE_KEEP: value 4 -> 512   [source-compatible]"),
    ("ring.h", "    uint64_t cap;\n    uint64_t user_data;", "    uint64_t user_data;\n    uint64_t cap;",
     "~ member capos_sqe.cap: offset 8 -> 16   [source-compatible]"),
    ("ring.h", "uint32_t arg;", "int32_t arg;", "~ member capos_transfer.arg: type uint32_t -> int32_t   [breaking]"),
    ("ring.h", "CAPOS_OP_COUNT = 13", "CAPOS_OP_COUNT = 14", "~ number CAPOS_OP_COUNT: value 13 -> 14   [binary-compatible]"),
    ("ring.h", "            uint32_t needed;", "            uint16_t needed;", "~ member capos_cqe.needed: bytes 4 -> 2   [source-compatible]"),
    ("capset.h", "uint64_t reserved1[7];", "uint64_t reserved1[9];", "~ layout capos_capset: bytes 128 -> 144   [source-compatible]"),
    ("layout.h", "#define CAPOS_USER_MIN UINT64_C(0x10000)", "#define CAPOS_USER_MIN UINT64_C(0x1000)", "~ number CAPOS_USER_MIN: value 65536 -> 4096   [source-compatible]"),
    ("syscall.h", "CAPOS_EXIT_THREAD = 1", "CAPOS_EXIT_TASK = 1", "- number CAPOS_EXIT_THREAD value=1   [breaking]"),
    ("archive.h", "CAPOS_ARCHIVE_VERSION = 1,", "CAPOS_ARCHIVE_VERSION = 1, CAPOS_ARCHIVE_SPARE = 3,", "+ number CAPOS_ARCHIVE_SPARE value=3   [binary-compatible]"),
)


@case("tree.abi", "each kind of change to the headers of abi/ is told by the golden check, with its class", weight=2)
def abi_drifts(t):
    facts = os.path.abspath("tools/abi-facts")
    schema = subprocess.run(["capnp", "compile", "-Ischema", "--src-prefix=schema", "-o-"] + sorted(glob.glob("schema/*.capnp")),
                            capture_output=True, check=True).stdout
    for header, before, after, wanted in ABI_DRIFTS:
        with tempfile.TemporaryDirectory() as root:
            shutil.copytree("abi", os.path.join(root, "abi"))
            path = os.path.join(root, "abi", header)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            t.require(before in text, f"abi/{header} has `{before}`")
            # A size that its own header asserts would be found sooner, by the compiler.
            changed = "\n".join(line for line in text.replace(before, after).split("\n") if not line.startswith("static_assert"))
            with open(path, "w", encoding="utf-8") as file:
                file.write(changed)
            headers = sorted(glob.glob("abi/*.h"))
            told = subprocess.run([facts, "gcc"] + headers, cwd=root, capture_output=True, text=True, check=False)
            t.require(told.returncode == 0, "the facts are told", told.stderr)
            with open(os.path.join(root, "facts"), "w", encoding="utf-8") as file:
                file.write(told.stdout)
            done = subprocess.run(["build/tools/capnpc-capos", "--layout", file.name, "--abi-check", "abi/golden/capos.abi"],
                                  input=schema, capture_output=True, check=False)
            said = done.stdout.decode()
            t.check(wanted in said.split("\n") and done.returncode == 1, f"{header}: {wanted}", said + done.stderr.decode())


def made_twice(t, verb, ending):
    """Two images of the same kernel and archive: their paths. They must be equal."""
    paths, digests = [], []
    for name in ("first", "second"):
        paths.append(f"build/test-logs/{name}.{ending}")
        done = subprocess.run(["make", "--no-print-directory", "-s", verb, f"OUT={paths[-1]}"],
                              capture_output=True, text=True, check=False)
        t.require(done.returncode == 0, f"the {ending} is made", done.stderr[-2000:])
        with open(paths[-1], "rb") as file:
            digests.append(hashlib.sha256(file.read()).hexdigest())
    t.require(digests[0] == digests[1], f"the two of {ending} are equal", " ".join(digests))
    return paths


@case("tree.iso", "the same kernel and archive make the same ISO, byte for byte", weight=3)
def iso_repeats(t):
    made_twice(t, "iso-again", "iso")


@case("tree.disk", "the same kernel and archive make the same disk image, whose partition table is sound", weight=3)
def disk_repeats(t):
    path = made_twice(t, "disk-again", "img")[0]

    def verdict():
        done = subprocess.run(["/usr/sbin/sgdisk", "--verify", "--print", path], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    said = verdict()
    t.check("No problems found" in said, "sgdisk finds nothing wrong", said)
    t.check("BIOS boot" in said and "EF02" in said and "EFI system" in said and "EF00" in said, "both partitions are there", said)
    with open(path, "r+b") as file:  # a bit of the first table
        file.seek(1024 + 40)
        byte = file.read(1)[0]
        file.seek(1024 + 40)
        file.write(bytes([byte ^ 1]))
    said = verdict()
    t.check("No problems found" not in said, "a changed table is noticed", said)


@case("tree.authority", "a grant that grows is shown, and refused unless the manifest says why; one that shrinks is shown")
def authority(t):
    def report(json_text, golden):
        for name, text in (("authority.json", json_text), ("authority.golden", golden)):
            with open(f"build/test-logs/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run(["tools/authority-report", "build/test-logs/authority.json", "--check",
                               "build/test-logs/authority.golden"], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    os.makedirs("build/test-logs", exist_ok=True)
    subprocess.run(["make", "--no-print-directory", "-s", "build/authority/committed/default.json"], check=True)
    with open("build/authority/committed/default.json", encoding="utf-8") as file:
        now = file.read()
    with open("manifests/authority/default.txt", encoding="utf-8") as file:
        golden = file.read()
    t.require(report(now, golden) == (0, ""), "the tree's own manifest is as accepted", report(now, golden)[1])

    fewer = golden.replace("{increment read reset child info reach}", "{increment read}")
    status, said = report(now, fewer)
    t.check(status == 1 and "+ shell.counter may Counter.reset from counter.counter" in said
            and "authority grows at shell.counter" in said and "why" in said, "a method more is refused without a reason", said)
    noted = now.replace('"source": "counter.counter", "why": ""', '"source": "counter.counter", "why": "it resets it"')
    status, said = report(noted, fewer)
    t.check(status == 0 and "# it resets it" in said and "make authority-accept" in said, "with a reason it is shown", said)
    status, said = report(now, "".join(line for line in golden.splitlines(True) if "shell.control" not in line))
    t.check(status == 1 and "+ shell.control may SystemControl.shutdown" in said, "a grant more is refused", said)
    status, said = report(now, golden.replace("hello counter-client", "counter-client"))
    t.check(status == 1 and "launch set applications may start hello" in said, "a program more is refused", said)
    status, said = report(now, golden.replace("at most 8 at a time", "at most 4 at a time"))
    t.check(status == 1 and "have 8 at a time" in said, "more programs at a time are refused", said)
    status, said = report(now.replace('"I/O ports 0x3f8', '"I/O ports 0x3f0'), golden)
    t.check(status == 1 and "terminal.ports" in said, "other ports are refused", said)
    status, said = report(now, golden + "  shell.old               Timer              {now} from kernel timer\n")
    t.check(status == 0 and "- shell.old may Timer.now" in said, "a grant less is shown", said)
    os.remove("build/test-logs/authority.golden")
    done = subprocess.run(["tools/authority-report", "build/test-logs/authority.json", "--check", "build/test-logs/authority.golden"],
                          capture_output=True, text=True, check=False)
    t.check(done.returncode == 1 and "nothing is accepted of the manifest authority" in done.stdout, "nothing accepted is a refusal",
            done.stdout)


@case("tree.manifests", "each manifest has an accepted authority and can be named to make; what is none is refused in one line", weight=2)
def manifests(t):
    names = sorted(os.path.splitext(os.path.basename(path))[0] for path in glob.glob("manifests/*.capnp"))
    names = [name for name in names if name != "local"]
    accepted = sorted(os.path.splitext(os.path.basename(path))[0] for path in glob.glob("manifests/authority/*.txt"))
    t.check(accepted == names, "each manifest has an accepted text, and each text a manifest", f"{accepted} {names}")

    def make(*words):
        env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
        return subprocess.run(["make", "--no-print-directory", "-s", *words], capture_output=True, text=True, check=False, env=env)

    done = make("authority", "MANIFEST=terminals")
    t.check(done.returncode == 0 and "shell-2 runs bin/shell" in done.stdout, "the authority of another manifest is told", done.stderr)
    for verb in ("run", "image", "authority"):
        for wrong in ("nowhere", "%", "default terminals", "$(shell touch build/wrong)", "a'; touch build/wrong; '"):
            done = make(verb, f"MANIFEST={wrong}")
            t.check(done.returncode == 2 and len(done.stderr.splitlines()) == 1
                    and f'there is no manifest "{wrong}"; there are: default terminals' in done.stderr,
                    f"make {verb} MANIFEST={wrong} is refused in one line", done.stdout + done.stderr)
    t.check(not os.path.exists("build/wrong"), "nothing of a name is run")


@case("tree.bench", "a revision that is none is refused in a line, and figures of two revisions are told apart by their ratio")
def bench(t):
    done = subprocess.run(["tools/bench-base", "no-such-revision"], capture_output=True, text=True, check=False)
    t.check(done.returncode == 1 and done.stdout == "", "nothing is measured", done.stdout)
    t.check(done.stderr.startswith("bench: BASE=no-such-revision: there is no such revision") and done.stderr.count("\n") == 1,
            "the reason stands in one line", done.stderr)
    loader = importlib.machinery.SourceFileLoader("bench", "tests/qemu/bench")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench", loader))
    loader.exec_module(module)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        module.print_change({"a": (200.0, "instr", 1, 0, 0), "b": (100.0, "instr", 1, 0, 0), "c": (2.0, "times", 1, 0, 0), "gone": (1.0, "instr", 1, 0, 0)},
                            {"a": (100.0, "instr", 1, 0, 0), "b": (102.0, "instr", 1, 0, 0), "c": (1.5, "times", 1, 0, 0), "new": (7.0, "instr", 1, 0, 0)}, "base")
    rows = {line.split()[0]: line.split()[1:] for line in told.getvalue().splitlines() if line}
    t.check(rows["a"] == ["200", "100", "0.500"] and rows["b"] == ["100", "102", "1.020", "worse"] and rows["c"] == ["2.00", "1.50", "0.750", "worse"]
            and rows["new"] == ["-", "7.0"] and "not measured now: gone" in told.getvalue(), "each row is compared", told.getvalue())
