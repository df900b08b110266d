# SPDX-License-Identifier: MIT
"""The scripts of tools/gdb against a running machine."""

import os
import re
import subprocess
import tempfile

from case import case


@case("gdb.scripts", "gdb prints processes, threads, tables, grants, ledgers and rings of a running system, which goes on", weight=4)
def scripts(t):
    with tempfile.TemporaryDirectory(prefix="capos-gdb-") as folder:
        path = os.path.join(folder, "socket")
        guest = t.boot(cpus=2, deadline_s=150, quiet_s=90, cmdline="kaslr=off",
                       machine=("-chardev", f"socket,id=gdb,path={path},server=on,wait=off", "-gdb", "chardev:gdb"))
        guest.prompt(seconds=60)
        guest.command("job = spawn sleeper with { timer: @timer }")

        def ask(*commands):
            words = ["gdb", "-q", "-batch", "-nx", "build/kernel.elf", "-ex", f"target remote {path}", "-x", "tools/gdb/capos.py"]
            for command in commands + ("detach",):
                words += ["-ex", command]
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
            t.check("Python Exception" not in done.stdout + done.stderr, f"{commands} run to their end", done.stdout + done.stderr)
            return done.stdout

        printed = ask("capos processes", "capos threads", "capos rings", "capos ledgers", "capos grants")
        number = re.search(r"^ *(\d+)  sleeper +running +1 ", printed, re.MULTILINE)
        t.require(number, "the sleeper is among the processes", printed)
        for wanted in (r"^ *\d+  init +running +1 +\d+ +\d+ +\d+$",
                       r"^ *\d+  sleeper \(\d+\) +blocked +[01]  0x[0-9a-f]+ \(image \+ 0x[0-9a-f]+\)$",
                       r"^ *\d+  shell \(\d+\) +32 +\d+ +\d+ +\d+ +\d+  1$",
                       r"^ledger 'shell', depth 2$", r"^  threads +1 of 4$",
                       r"^\d+ boot$", r"^ +\d+ manifest shell\.launcher$", r"^ +\d+ shell: @timer$"):
            t.check(re.search(wanted, printed, re.MULTILINE) is not None, f"gdb prints /{wanted}/", printed)
        printed = ask(f"capos table {number[1]}", "capos threads " + number[1])
        t.check(re.search(r"^ +\d+  Timer +methods 0x3  object \d+  grant \d+: shell: @timer$", printed, re.MULTILINE) is not None,
                "gdb prints what the sleeper holds", printed)
        t.check("init" not in printed.split("number", 1)[-1], "of one process only", printed)
        printed = guest.command("kill @job")
        t.check("ended from outside" in printed, "the machine goes on", printed)
        t.shutdown(guest)
