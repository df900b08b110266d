# SPDX-License-Identifier: MIT
"""Calls in a row at the prompt."""

from case import case


@case("shell.pipeline", "calls in a row are typed, take no slot on the way, and name the call that fails", weight=5)
def pipeline(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    guest.command("@counter.read()")
    before = t.settled(guest, lambda: t.usage(guest)["slots"])
    for command, wanted in (
            ('@counter.child("a").child("b").child("c").increment(by=3)', ["value = 3"]),
            ('@counter.child("c").counter.read()', ["value = 0"]),
            ("@ledger.newEndpoint(maxMessageBytes=64, maxCaps=0).mint(key=1, interface=1, methods=1)", ["object = @"]),
            ('@ledger.carve(limits=[{ledgerClass: slots, amount: 4}], name="small").usage()', ['lender = "shell"']),
            ('@launcher.launch(program="hello").process.wait()', ["wait stands for the ring operation WAIT and cannot be called"]),
            ('@counter.child("a name of many more bytes than thirty-one").child("x").read()',
             ["Counter.child: EXCEPTION: invalidArgument: a name of 1 to 31 bytes", "(so nothing was done by Counter.read)"]),
            ("@counter.read().increment()", ["Counter.read answers with no capability"]),
            ('@counter.child("a").incremnt()', ["Counter has no method 'incremnt'; the nearest is 'increment'"]),
            ('@counter.child("a").value.read()', ["no capability in a field 'value'"]),
            ('@counter.child("a").increment(by="x")', ["increment: by: expected a number (Int64)"]),
            ('@counter.child(name=1).read()', ["child: name: expected text in quotation marks"]),
            ("@capabilities.attenuate(@counter, 1).read()", ["name it first"]),
            ("@ledger.newEndpoint(maxMessageBytes=64, maxCaps=0).vacant(untilNs=1).read()", ["Endpoint.vacant answers with no capability"])):
        printed = guest.command(command)
        for text in wanted:
            t.check(text in printed, f"`{command}` prints {text}", printed)
    t.comes_to(guest, lambda: t.usage(guest)["slots"], before + 1, "only the last answer's capability took a slot")
    guest.command("drop @capability1")
    for command, wanted in (
            ("e = @ledger.newEndpoint(maxMessageBytes=64, maxCaps=0)", ["@e"]),
            ("o = @e.mint(key=0x77, interface=1, methods=1)", ["@o"]),
            ("drop @o", []),
            ("wait @e", ["nobody holds the object with key 0x77 of @e any more"])):
        printed = guest.command(command)
        for text in wanted:
            t.check(text in printed, f"`{command}` prints {text}", printed)
    t.shutdown(guest)
