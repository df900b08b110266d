# SPDX-License-Identifier: MIT
"""The paperclip business and the clock: what time makes of them."""

import re

from case import case


def number(text, field):
    found = re.search(rf"\b{field} = (\d+)", text)
    return int(found[1]) if found else None


@case("games.paperclips", "the business goes on while nobody looks, through an upgrade, and begins anew after a kill", weight=20)
def paperclips(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=40)

    def call(text):
        return guest.command(f"@paperclips.{text}", seconds=40)

    call("price(cents=5)")
    for _ in range(11):
        call("make(count=10)")
    began = call("status()")
    t.check(number(began, "clips") == 110 and number(began, "wire") == 890, "110 clips by hand", began)
    guest.command(f"@timer.sleep(untilNs={number(guest.command('@timer.now()'), 'nowNs') + 11_000_000_000})", seconds=40)
    sold = call("status()")
    t.check(number(sold, "unsold") == 0 and number(sold, "fundsCents") == 550, "10 a second are sold, while nobody looks", sold)
    bought = call("buy(what=clipper)")
    t.check(number(bought, "clippers") == 1 and number(bought, "fundsCents") == 50 and number(bought, "clipperCents") == 550,
            "that buys a clipper", bought)
    t.check("failed: not enough money" in call("buy(what=clipper, count=2)"), "and no second one")
    t.check("outcome = done" in guest.command('@control.upgrade(service="paperclips")', seconds=40), "the server is replaced")
    later = guest.command(f"@timer.sleep(untilNs={number(guest.command('@timer.now()'), 'nowNs') + 2_000_000_000})", seconds=40)
    after = call("status()")
    ticks = number(after, "seconds") - number(bought, "seconds")
    t.check(ticks >= 2 and number(after, "clips") == 110 + ticks, "and the clipper has bent a clip each second", after + later)
    t.check(number(after, "fundsCents") == 50 + 5 * ticks, "which were sold", after)
    guest.command('@control.restart(service="paperclips")', seconds=40)
    anew = call("status()")
    t.check(number(anew, "clips") == 0 and number(anew, "fundsCents") == 0 and number(anew, "wire") == 1000,
            "a killed one begins anew, behind the same capability", anew)
    call("make(count=3)")
    t.check(number(call("reset()"), "clips") == 0, "so does one that is given up")
    t.shutdown(guest)


@case("games.clock", "the clock tells each second once, in its order, and ends when it is told to", weight=12)
def clock(t):
    guest = t.boot(cpus=1, deadline_s=90, quiet_s=30)
    guest.prompt(seconds=40)
    start = len(guest.console)
    guest.send("run clock with { timer: @timer }\r")
    guest.expect(r"up \d\d:\d\d:\d\d", seconds=20)
    guest.send("soon\r")
    guest.expect(r"a number of seconds from 1 to 86400 is needed", seconds=20)
    guest.send("3\r")
    guest.prompt(seconds=30)
    text = bytes(guest.console[start:]).decode(errors="replace")
    told = [int(m) * 60 + int(s) for m, s in re.findall(r"up 00:(\d\d):(\d\d)", text)]
    t.check(len(told) >= 4 and told == sorted(set(told)), "each second is told once, in order", str(told))
    guest.send("run clock with { timer: @timer }\r")
    guest.expect(r"up \d\d:\d\d:\d\d", seconds=20)
    guest.send("\x03")
    guest.prompt(seconds=20)
    refused = guest.command("run clock", seconds=20)
    t.check("timer" in refused and "104" in refused, "without a timer it says what it needs, and ends", refused)
    t.shutdown(guest)
