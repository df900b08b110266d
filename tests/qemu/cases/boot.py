# SPDX-License-Identifier: MIT
"""Every way to boot, with one, two and four processors."""

import re

from case import case

WAYS = {"pvh": "PVH", "bios": "the ISO on BIOS", "uefi": "the ISO on UEFI", "disk": "the disk image on BIOS",
        "disk-uefi": "the disk image on UEFI"}


def boot_case(boot, cpus):
    # UEFI firmware alone takes seconds; the others are there in one.
    @case(f"boot.{boot}.{cpus}", f"boots by {WAYS[boot]} with {cpus} CPU(s) to a prompt and switches off",
          weight=12 if boot.endswith("uefi") else 4)
    def run(t):
        guest = t.boot(boot=boot, cpus=cpus, deadline_s=120, quiet_s=40)
        guest.prompt(seconds=90)
        found = re.search(rb"capOS on (\d+) CPUs?\b", guest.debug)
        t.check(found is not None and int(found[1]) == cpus, f"the kernel log says that {cpus} CPU(s) run",
                found and found[0].decode())
        t.check("panic" not in guest.log().lower(), "no panic in the kernel log")
        t.check("unanchored" not in guest.log(), "the archive's hash was checked")
        t.shutdown(guest)

    return run


for _boot in WAYS:
    for _cpus in (2,) if _boot.startswith("disk") else (1, 2, 4):
        boot_case(_boot, _cpus)


@case("boot.qcow2", "the qcow2 image boots to a prompt, on BIOS and on UEFI", weight=14)
def boot_qcow2(t):
    for boot in ("disk", "disk-uefi"):
        guest = t.boot(boot=boot, disk="build/capos.qcow2", cpus=1, deadline_s=120, quiet_s=40)
        guest.prompt(seconds=90)
        t.check("unanchored" not in guest.log(), f"the archive's hash was checked ({boot})")
        t.shutdown(guest)


@case("boot.pti", "the system runs with page-table isolation switched on", weight=4)
def boot_pti(t):
    guest = t.boot(cpus=2, cmdline="pti=on", deadline_s=60, quiet_s=20)
    guest.prompt(seconds=40)
    t.check("Hello" in guest.command("run hello"), "hello runs")
    t.shutdown(guest)
