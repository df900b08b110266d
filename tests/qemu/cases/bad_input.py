# SPDX-License-Identifier: MIT
"""What a broken boot package does: a clear message and an orderly stop, or a working system. Never a hang, never a
panic without words."""

import hashlib
import os
import re
import shutil
import struct

from case import build_file, case
from guest import Failure, plain

HEADER, ENTRY = 64, 128


class Archive:
    """A copy of the boot archive that can be damaged (layout: abi/archive.h)."""

    def __init__(self, t, name):
        os.makedirs("build/test-logs", exist_ok=True)
        self.path = f"build/test-logs/{t.entry.name}.{name}.archive"
        shutil.copyfile(build_file("boot.archive"), self.path)
        shutil.copyfile(build_file("boot.archive.sha256"), self.path + ".sha256")
        with open(self.path, "rb") as file:
            self.data = bytearray(file.read())

    def entries(self):
        count = struct.unpack_from("<I", self.data, 12)[0]
        for at in range(HEADER, HEADER + count * ENTRY, ENTRY):
            name = bytes(self.data[at:at + 64]).split(b"\0")[0].decode()
            offset, size = struct.unpack_from("<QQ", self.data, at + 64)
            yield name, at, offset, size

    def find(self, wanted):
        for name, at, offset, size in self.entries():
            if name == wanted:
                return at, offset, size
        raise KeyError(wanted)

    def rehash(self, name):
        """Make a damaged payload honest again: the damage is then what init or the loader has to find."""
        at, offset, size = self.find(name)
        self.data[at + 80:at + 112] = hashlib.sha256(self.data[offset:offset + size]).digest()
        index_bytes = struct.unpack_from("<Q", self.data, 16)[0]
        with open(self.path + ".sha256", "w", encoding="ascii") as file:
            file.write(hashlib.sha256(self.data[:index_bytes]).hexdigest() + "\n")

    def cut(self, name, size):
        """The payload is only so long, and its hash is right; behind it are zeros, as the layout wants."""
        at, offset, old_size = self.find(name)
        struct.pack_into("<Q", self.data, at + 72, size)
        self.data[offset + size:offset + old_size] = bytes(old_size - size)
        self.rehash(name)

    def save(self):
        with open(self.path, "wb") as file:
            file.write(self.data)
        return self.path


def stops_with(t, archive, pattern, **options):
    """Boot and see that the machine stops by itself and says why, on the console or in the kernel log."""
    guest = t.boot(archive=archive.save(), deadline_s=90, quiet_s=30, **options)
    how = guest.wait_end(seconds=60)
    words = guest.log() + guest.console.decode(errors="replace")
    t.check(how.startswith("stopped, code"), "the machine stops by itself, in order", f"it ended: {how}")
    t.check(re.search(pattern, words, re.IGNORECASE) is not None, f"it says why (/{pattern}/)")
    t.check("capos>" not in words, "there is no prompt")


@case("bad.manifest.bytes", "a manifest of arbitrary bytes is refused before any service starts", weight=3)
def manifest_bytes(t):
    archive = Archive(t, "a")
    _, offset, size = archive.find("manifest")
    archive.data[offset:offset + size] = bytes((i * 37 + 11) & 0xFF for i in range(size))
    archive.rehash("manifest")
    stops_with(t, archive, r"HALT: the manifest .manifest. is malformed \([a-z ]+\); rebuild the boot archive")


@case("bad.manifest.hash", "a manifest whose hash is wrong is refused and named", weight=3)
def manifest_hash(t):
    archive = Archive(t, "a")
    _, offset, _ = archive.find("manifest")
    archive.data[offset + 40] ^= 1
    stops_with(t, archive, r"manifest.*(hash|corrupt|digest)|(hash|corrupt|digest).*manifest")


RAW = re.compile(rb"[^\r\n -~]")


@case("bad.manifest.escapes", "what init says of a manifest cannot steer the screen, whatever the names in it are", weight=3)
def manifest_escapes(t):
    archive = Archive(t, "a")
    _, offset, size = archive.find("manifest")
    whole = bytes(archive.data[offset:offset + size])
    archive.data[offset:offset + size] = whole.replace(b"counter\0", b"\xc2\x9b2JK\x1bc\0").replace(b"motd\0", b"\xe2\x80\xaed\0")
    archive.rehash("manifest")
    stops_with(t, archive, r'name "\?\?2JK\?c" is not 1 to 31')
    t.check(RAW.search(bytes(t.guests[0].console)) is None, "no control byte is on the console", repr(bytes(t.guests[0].console)))


@case("bad.init.hash", "an init whose hash is wrong is not started", weight=3)
def init_hash(t):
    archive = Archive(t, "a")
    _, offset, size = archive.find("init")
    archive.data[offset + size // 2] ^= 1
    stops_with(t, archive, r"init.*(hash|corrupt|digest)|(hash|corrupt|digest).*init")


@case("bad.init.truncated", "a truncated init is refused as a program", weight=3)
def init_truncated(t):
    archive = Archive(t, "a")
    archive.cut("init", 200)
    stops_with(t, archive, r"init cannot start: BAD_IMAGE")


@case("bad.index", "an archive whose index does not match the anchor is refused", weight=3)
def index(t):
    archive = Archive(t, "a")
    archive.data[HEADER + 100] ^= 1
    stops_with(t, archive, r"(archive|index).*(hash|anchor|match)|(hash|anchor).*(archive|index)")


@case("bad.program.missing", "a manifest that names a program the archive lacks is refused and the entry named", weight=3)
def program_missing(t):
    archive = Archive(t, "a")
    at, _, _ = archive.find("bin/counter")
    # One letter less: still after bin/... and before bin/counter-client, so the index stays in order.
    archive.data[at + len("bin/counte")] = ord("q")
    archive.rehash("bin/counteq")
    stops_with(t, archive, r"services\.counter\.program: .*bin/counter\b")


@case("bad.program.truncated", "a program that is cut off is refused as an image, and the shell goes on", weight=3)
def program_truncated(t):
    archive = Archive(t, "a")
    archive.cut("bin/hello", 96)
    guest = t.boot(archive=archive.save(), deadline_s=90, quiet_s=30)
    guest.prompt(seconds=60)
    text = guest.command("run hello")
    t.check(re.search(r"Launcher\.launch: BAD_IMAGE", text) is not None, "run says what is wrong", text)
    t.check("nowNs" in guest.command("@timer.now()"), "the shell goes on", text)
    t.shutdown(guest)


@case("bad.service.truncated", "a service whose program is cut off has failed and says why; the rest of the system stands",
      weight=3)
def service_truncated(t):
    archive = Archive(t, "a")
    archive.cut("bin/counter", 4096)
    guest = t.boot(archive=archive.save(), deadline_s=90, quiet_s=30)
    guest.prompt(seconds=60)
    printed = guest.command("@counter.read()")
    t.check("Counter.read: DISCONNECTED" in printed, "its clients are told", printed)
    printed = guest.command("@control.services()")
    t.check(re.search(r'name: "counter"(.|\n)*state: failed(.|\n)*could not be started: BAD_IMAGE', printed) is not None,
            "services tells what became of it", printed)
    printed = guest.command("services")
    t.check(re.search(r"counter +failed .*could not be started: BAD_IMAGE", printed) is not None, "and in a table", printed)
    t.check("degraded: counter has failed; 'services' tells more" in plain(bytes(guest.console)).decode(errors="replace"),
            "the shell says at its start that the system is degraded")
    printed = guest.command("logs counter level error")
    t.check("init: error: counter: could not be started: BAD_IMAGE" in printed, "and the log has it as an error", printed)
    t.shutdown(guest)


@case("bad.manifest.cut", "a manifest that is cut off is refused before any service starts", weight=3)
def manifest_cut(t):
    archive = Archive(t, "a")
    archive.cut("manifest", 512)
    stops_with(t, archive, r"HALT: the manifest .manifest. is malformed \([a-z ]+\); rebuild the boot archive")


@case("bad.program.hash", "a program whose hash is wrong is named; the system works without it or stops in order", weight=3)
def program_hash(t):
    archive = Archive(t, "a")
    _, offset, size = archive.find("bin/hello")
    archive.data[offset + size // 2] ^= 1
    guest = t.boot(archive=archive.save(), deadline_s=90, quiet_s=30)
    try:
        guest.prompt(seconds=60)
    except Failure:
        t.check(guest.ended is not None and guest.ended.startswith("stopped, code"), "it stops in order", guest.ended)
    else:
        text = guest.command("run hello")
        t.check(re.search(r"hash|SHA|corrupt|no program 'hello'", text, re.IGNORECASE) is not None, "run names the cause", text)
        t.shutdown(guest)
    t.check(re.search(r"bin/hello.*hash", guest.log()) is not None, "the kernel log names the program")


def change_edition(archive, package, method, other):
    """The manual's library calls a method of an interface otherwise; all hashes are right: it is another edition."""
    _, library, _ = archive.find("data/library")
    count = struct.unpack_from("<I", archive.data, library + 12)[0]
    for at in range(library + HEADER, library + HEADER + count * ENTRY, ENTRY):
        name = bytes(archive.data[at:at + 64]).split(b"\0")[0].decode()
        offset, size = struct.unpack_from("<QQ", archive.data, at + 64)
        descriptor = bytes(archive.data[library + offset:library + offset + size])
        if name.startswith(f"desc/{package}/") and method.encode() + b"\0" in descriptor:
            changed = descriptor.replace(method.encode() + b"\0", other.encode() + b"\0")
            archive.data[library + offset:library + offset + size] = changed
            archive.data[at + 80:at + 112] = hashlib.sha256(changed).digest()
            archive.rehash("data/library")
            return
    raise KeyError(method)


@case("bad.library.edition", "a description of another edition is told, never used: no call goes by it", weight=3)
def library_edition(t):
    archive = Archive(t, "a")
    change_edition(archive, "counter", "increment", "decrement")
    change_edition(archive, "capos", "sleep", "sweep")
    guest = t.boot(archive=archive.save(), deadline_s=90, quiet_s=30)
    guest.prompt(seconds=60)
    for line in ("help @counter", "@counter.decrement(by=1)", "@counter.increment(by=1)"):
        text = guest.command(line)
        t.check("@manual has another edition of Counter than this shell was built with" in text and
                "boot shell, manual and service of one build" in text, f"`{line}` says why, and the way out", text)
        t.check("value" not in text, f"`{line}` calls nothing", text)
    text = guest.command("help @timer")
    t.check("sleep" in text and "sweep" not in text, "the shell's own interfaces are told as it carries them", text)
    t.check("@manual has another edition of Timer; this is the one that this shell was built with" in text, "and that there is another", text)
    t.check("another edition" not in guest.command("help @ledger"), "of those that agree it says nothing")
    for named, wanted in (("", "found = true.*editions = 1"), (", edition=0x" + "00" * 32, "found = false.*editions = 1"),
                          (", edition=0x00", "an edition is 32 bytes")):
        text = guest.command(f"@manual.describe(interface=0xc67cdb5a9a146df1, offsetBytes=100000{named})")
        t.check(re.search(wanted, text, re.DOTALL) is not None, f"with {named or 'no edition'} the manual tells: {wanted}", text)
    t.shutdown(guest)


@case("bad.memory.least", "the least memory that is documented boots to a prompt", weight=4)
def memory_least(t):
    with open("docs/reference/limits.md", encoding="utf-8") as file:
        least = int(re.search(r"least memory[^0-9]*(\d+) MiB", file.read(), re.IGNORECASE)[1])
    guest = t.boot(memory_mib=least, deadline_s=90, quiet_s=30)
    guest.prompt(seconds=60)
    t.shutdown(guest)


@case("bad.memory.less", "with too little memory the machine says so and stops", weight=3)
def memory_less(t):
    guest = t.boot(memory_mib=8, deadline_s=60, quiet_s=20)
    how = guest.wait_end(seconds=40)
    words = guest.log() + guest.console.decode(errors="replace")
    t.check(how.startswith("stopped, code"), "the machine stops by itself, in order", f"it ended: {how}")
    t.check("there is too little memory for it" in words, "it speaks of memory", words[-1500:])


@case("bad.noarchive", "a kernel without a boot archive says so and stops", weight=3)
def no_archive(t):
    os.makedirs("build/test-logs", exist_ok=True)
    path = f"build/test-logs/{t.entry.name}.archive"
    with open(path, "wb") as file:
        file.write(b"\0" * 4096)
    guest = t.boot(archive=path, anchor="0" * 64, deadline_s=60, quiet_s=20)
    how = guest.wait_end(seconds=40)
    words = guest.log() + guest.console.decode(errors="replace")
    t.check(how.startswith("stopped, code"), "the machine stops by itself, in order", f"it ended: {how}")
    t.check("boot archive: refused: it is not a boot archive" in words, "it speaks of the archive", words[-1500:])
