# SPDX-License-Identifier: MIT
"""The tour, as somebody takes it who presses Enter: nothing on it fails, and nothing is left of it."""

import re

from case import case
from guest import plain

PAGES = 9
PAUSE = r"-- Enter goes on, Ctrl-C ends it "


@case("tour.whole", "each page of the tour shows what it says, nothing stops it, and the shell holds afterwards what it held before", weight=5)
def whole(t):
    guest = t.boot(cpus=2, deadline_s=180, quiet_s=40)
    guest.prompt(seconds=60)
    before = re.findall(r"^  @(\S+)", guest.command("caps"), re.MULTILINE)
    start = len(guest.console)
    guest.send("do @tour aloud\r")
    for _ in range(PAGES):
        guest.expect(PAUSE, seconds=60)
        guest.send("\r")
    guest.prompt(seconds=60)
    text = plain(bytes(guest.console[start:])).decode(errors="replace").replace("\r", "")
    at = 0
    for wanted in (r"capOS in ten minutes", r"@counter +Counter +all", r"1\. CALLS HAVE TYPES", r"capos> @counter\.increment\(by=5\)\nvalue = 5",
                   r"error: by: expected a number", r"error: .*no method 'incremnt'; the nearest is 'increment'",
                   r"2\. MANY CALLS", r"value = 3\n(1 entry|2 entries), \d+ cycles, bill \d+",
                   r"3\. A PROGRAM HAS", r"Nobody gave me a timer", r"capos> run hello with \{ timer: @timer \}(.|\n)*?ms",
                   r"4\. LEND", r"value = 5", r"error: @reader is held without 'increment'", r"@reader is revoked", r"error: .*DISCONNECTED",
                   r"5\. SERVICES END", r"counter +ready", r"outcome = done", r"value = 0", r"init: counter: ready",
                   r"6\. EVERYTHING IS PAID FOR", r"error: .*QUOTA", r"slots +0 +4",
                   r"7\. ITEMS", r"They are in the kitchen where there are \[\"lamp\", \"bread\"\]", r"sender = \"ann\"", r"room = \"kitchen\"(.|\n)*?\"lamp\"",
                   r"8\. VALUES", r"shell is ready", r"\{\"value\": 0\}", r"WHERE TO GO ON", r"You hold what you held before\."):
        found = re.compile(wanted).search(text, at)
        if not t.check(found is not None, f"the tour shows /{wanted}/", text[at:at + 3000]):
            break
        at = found.end()
    t.check("stopped in line" not in text, "nothing stops it", text[-1500:])
    after = re.findall(r"^  @(\S+)", guest.command("caps"), re.MULTILINE)
    t.check(after == before, "the shell holds what it held", f"{before}\n{after}")

    guest.send("do @tour aloud\r")
    guest.expect(PAUSE, seconds=60)
    guest.send("\x03")
    guest.prompt(seconds=20)
    t.check(guest.command("print 1").strip() == "1", "Ctrl-C ends the tour")
    t.shutdown(guest)
