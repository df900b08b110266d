# SPDX-License-Identifier: MIT
"""How a case of tests/qemu/cases is written:

    from case import case

    @case("boot.pvh.1", "the system boots by PVH with one processor")
    def boot_pvh_1(t):
        guest = t.boot(cpus=1)
        guest.prompt()
        t.check("text" in guest.command("caps"), "caps lists ...")
        t.shutdown(guest)

Everything a case boots is ended and its logs are kept or thrown away by the harness.
"""

import glob
import os
import re

from guest import Failure, Guest, plain

registry = []


class Case:
    def __init__(self, name, sentence, run, weight, slots):
        self.name, self.sentence, self.run, self.weight, self.slots = name, sentence, run, weight, slots


def case(name, sentence, weight=1, slots=1):
    """Mark a function as a case. weight: rough seconds, for the order; slots=2: it runs alone."""

    def mark(function):
        registry.append(Case(name, sentence, function, weight, slots))
        return function

    return mark


class Context:
    """What a running case holds."""

    def __init__(self, entry):
        self.entry = entry
        self.guests = []
        self._checks = []
        self._found = []

    def boot(self, **options):
        number = f"-{len(self.guests)}" if self.guests else ""
        guest = Guest(self.entry.name + number, **options)
        self.guests.append(guest)
        return guest

    def check(self, held, sentence, detail=""):
        """Note what was looked at; the case goes on and fails at its end."""
        if not held:
            self._checks.append(f"{sentence}" + (f"\n  {detail}" if detail else ""))
        return held

    def require(self, held, sentence, detail=""):
        if not held:
            raise Failure(f"{sentence}" + (f"\n  {detail}" if detail else ""))

    def usage(self, guest, call="@ledger.usage()"):
        """What a ledger, the shell's or another, says is in use: class -> number. What was logged is counted for a second
        only, and left out."""
        text = guest.command("json " + call)
        rows = {name: int(used) for name, used in re.findall(r'"ledgerClass": "(\w+)", "used": (\d+)', text)}
        self.require(rows, f"{call} names classes and what is used", text)
        rows.pop("logBytes", None)
        return rows

    def settled(self, guest, read):
        """What read() gives when it gives the same three times in a row: what has ended gives back a little later."""
        found = [read()]
        while len(found) < 3 or not found[-1] == found[-2] == found[-3]:
            self.require(len(found) < 100, "what is used comes to rest", f"{found[-3:]}")
            guest.pump_for(0.1)
            found.append(read())
        return found[-1]

    def comes_to(self, guest, read, wanted, sentence):
        """read() gives what is wanted, at once or a little later."""
        found = read()
        for _ in range(100):
            if found == wanted:
                break
            guest.pump_for(0.1)
            found = read()
        self.check(found == wanted, sentence, f"wanted {wanted}\nfound  {found}")

    def shutdown(self, guest, line="control.shutdown", seconds=20.0):
        """Ask the shell to switch off and see that the machine does so by itself."""
        guest.send(f"@{line}()\r")
        how = guest.wait_end(seconds)
        self.require(how == "off", "the machine switches off cleanly", f"it ended: {how}")

    def count_results(self, guest, at_least=1, writer="init"):
        """Take over the @test lines that this program of the machine printed; each is a result of its own. A suite that told its plan
        (`@plan SUITE N`) must have kept it."""
        found = guest.results(writer)
        self._found += [(f"{suite}.{name}", passed, detail) for suite, name, passed, detail in found]
        self.require(len(found) >= at_least,
                     f"the machine prints at least {at_least} @test lines", f"it printed {len(found)}")
        for suite, planned in re.findall(r"@plan (\S+) (\d+)", guest.log()):
            printed = sum(1 for each in found if each[0] == suite)
            self.require(printed == int(planned), f"all {planned} tests of {suite} end", f"{printed} did")

    def results(self):
        return self._found

    def problem(self):
        return "\n".join(self._checks) if self._checks else None

    def finish(self, failed):
        for guest in self.guests:
            guest.close()
            if failed or any(not passed for _, passed, _ in self._found):
                guest.keep_logs()

    def last_words(self):
        text = []
        for guest in self.guests:
            for title, data in (("console", plain(bytes(guest.console))), ("kernel log", bytes(guest.debug))):
                lines = data.decode(errors="replace").splitlines()[-12:]
                text.append(f"{guest.name}: last lines of the {title}:")
                text += [f"  | {re.sub(r'[^ -~]', '.', line)}" for line in lines]
            text.append(f"{guest.name}: whole logs in {guest.log_dir}/{guest.name}.*.log")
        return "\n".join(text)


def build_file(name):
    path = os.path.join("build", name)
    if not os.path.exists(path):
        raise Failure(f"{path} is missing; run make image")
    return path


def doc_files():
    return sorted(glob.glob("docs/**/*.md", recursive=True))
