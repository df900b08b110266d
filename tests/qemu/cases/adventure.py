# SPDX-License-Identifier: MIT
"""The adventure: one world for all, items that are capabilities, and what a death leaves of them."""

import random
import re

from case import case
from screen import Screens


def enter(guest, name, *way):
    guest.command(f'{name} = @world.enter(name="{name}")')
    for direction in way:
        guest.command(f'@{name}.go(direction="{direction}")')


def names(text, field):
    """The list of names that a field of an answer has."""
    found = re.search(rf"{field} = \[(.*?)\]", text)
    return re.findall(r'"([^"]+)"', found[1]) if found else None


def look(guest, name):
    return names(guest.command(f"@{name}.look()"), "items")


def carried(guest, name):
    text = guest.command(f"@{name}.inventory()")
    return names(text, "items"), names(text, "waiting")


@case("adventure.hands", "an item goes from hand to hand, is always in one place, and what is let go or refused is not lost", weight=4)
def hands(t):
    guest = t.boot(cpus=2, deadline_s=90, quiet_s=30)
    guest.prompt(seconds=40)
    enter(guest, "ann", "north", "west")
    enter(guest, "bo", "north", "west")
    t.check(look(guest, "ann") == ["lamp", "bread"] == look(guest, "bo"), "both see the same room")
    guest.command('lamp = @ann.take(item="lamp")')
    t.check(look(guest, "bo") == ["bread"], "what ann took bo no longer sees")
    t.check("failed: no such thing lies here" in guest.command('@bo.take(item="lamp")'), "and cannot take")
    t.check("can only be moved" in guest.command('@ann.give(to="bo", item=@lamp)'), "it cannot be copied")
    t.check('name = "lamp"' in guest.command('@ann.give(to="bo", item=move @lamp)'), "ann gives it to bo")
    t.check(carried(guest, "ann") == ([], []) and carried(guest, "bo") == ([], ["lamp"]), "it waits for bo")
    printed = guest.command("lamp2 = @bo.receive()")
    t.check('name = "lamp"' in printed and 'sender = "ann"' in printed, "who is told from whom it is", printed)
    t.check(carried(guest, "bo") == (["lamp"], []), "bo has it")
    t.check("The lamp burns." in guest.command("@lamp2.use()"), "and can use it")
    t.check("invalidArgument: the world waits for no such ticket" in guest.command("@lamp2.present(ticket=1)"), "nobody else presents")
    t.check("failed: nobody of that name is here" in guest.command('@bo.give(to="cy", item=move @lamp2)'), "to nobody it is not given")
    t.check(carried(guest, "bo") == ([], ["lamp"]), "it comes back to the giver")
    guest.command("lamp3 = @bo.receive()")
    guest.command("drop @lamp3")
    t.comes_to(guest, lambda: sorted(look(guest, "ann")), ["bread", "lamp"], "what is let go falls to the ground")
    guest.command('lamp4 = @bo.take(item="lamp")')
    guest.command("drop @bo")
    t.comes_to(guest, lambda: names(guest.command("@world.players()"), "players"), ["ann"], "a player that nobody holds leaves")
    t.check("A storm lamp" in guest.command("@lamp4.describe()"), "what was taken is its holder's, whoever took it")
    t.check('name = "lamp"' in guest.command("@ann.drop(item=move @lamp4)"), "and can be put back by another player")
    t.check(sorted(look(guest, "ann")) == ["bread", "lamp"], "it lies there once")
    told, after = [], 0
    while after < 16:
        text = guest.command(f"@ann.events(after={after})")
        told, after = told + names(text, "lines"), int(re.search(r"last = (\d+)", text)[1])
    t.check(told == ["bo comes.", "The lamp burns.", "The lamp falls to the ground.", "bo takes the lamp.", "bo leaves the world."],
            "ann was told what others did where she was, and no more", str(told))
    guest.command('@control.restart(service="adventure")')
    t.check("error: Player.look: DISCONNECTED" in guest.command("@ann.look()"), "who was in the old world is not in the new")
    t.check(names(guest.command("@world.players()"), "players") == [], "which begins anew, behind the same capability")
    t.shutdown(guest)


@case("adventure.impostor", "an object of another server is no item, whatever it does when it is asked; what it forwards to is given away", weight=8)
def impostor(t):
    guest = t.boot(archive="test", cmdline="manifest=manifest/guest", cpus=2, deadline_s=120, quiet_s=30)
    guest.prompt(seconds=60)
    enter(guest, "ann", "north", "west")
    enter(guest, "bo", "north", "west")
    printed = guest.command("@ann.drop(item=move @liar)")
    t.check(printed.rstrip().endswith("invalidArgument: it is no item of this world"), "who answers and presents nothing is none", printed)
    guest.command('lamp = @ann.take(item="lamp")')
    printed = guest.command('@ann.give(to="bo", item=move @silent)', seconds=20)
    t.check("invalidArgument: it is no item of this world, and does not answer" in printed, "nor who never answers", printed)
    t.check(carried(guest, "ann") == (["lamp"], []) and carried(guest, "bo") == ([], []), "nothing was given")
    printed = guest.command('@ann.give(to="bo", item=move @forwarder)')
    t.check('name = "bread"' in printed, "who forwards the ticket to the item it holds gives that away", printed)
    t.check(carried(guest, "bo") == ([], ["bread"]) and look(guest, "ann") == [], "to who was meant, once")
    bread = guest.command("bread = @bo.receive()") + guest.command("@bread.describe()")
    t.check('sender = "ann"' in bread and "A loaf." in bread, "who gets the item, not what was handed over", bread)
    t.shutdown(guest)


@case("adventure.killed", "a client that is killed at any step leaves no trace, and each item is in the world exactly once", weight=25)
def killed(t):
    guest = t.boot(cpus=2, deadline_s=200, quiet_s=60)
    guest.prompt(seconds=40)
    enter(guest, "bo", "north", "west")
    draw = random.Random(7)
    steps = "ann\rn\rw\rtake lamp\rtake bread\rdrop bread\rgive lamp to bo\rtake bread\rgive bread to cy\ruse bread\rgive bread to bo\r"
    used = None
    for round_number in range(12):
        guest.send("run adventure-client with { world: @world }\r")
        guest.expect(r"Your name\?", seconds=20)
        typed = steps if round_number == 0 else steps[:draw.randrange(len(steps))]
        guest.send(typed)
        if round_number == 0:
            guest.expect(r"The bread comes back to you|bread\? ", seconds=20)
        else:
            guest.pump_for(draw.random() * 0.4)
        guest.send("\x03")
        guest.prompt(seconds=20)
        t.comes_to(guest, lambda: names(guest.command("@world.players()"), "players"), ["bo"], "the player has left")
        here, (held, waiting) = look(guest, "bo"), carried(guest, "bo")
        where = f"round {round_number}: typed {typed!r}: here {here}, held {held}, waiting {waiting}"
        t.check(sorted(here + held + waiting) == ["bread", "lamp"], "each item is in one place", where)
        for _ in waiting:
            guest.command("gift = @bo.receive()")
            guest.command("drop @gift")
        t.comes_to(guest, lambda: sorted(look(guest, "bo")), ["bread", "lamp"], "what is received and let go lies here again")
        usage = t.settled(guest, lambda: {k: v for k, v in t.usage(guest, '@control.usage(service="adventure")').items()
                                          if k in ("slots", "servedObjects", "grants")})
        used = used or usage
        t.check(usage == used, "nothing of the client is left with the server", f"{used} {usage} {where}")
    t.shutdown(guest)


@case("adventure.two", "two terminals play in one world; its server is killed, comes back, and the clients say so", weight=12, slots=2)
def two(t):
    with Screens(t) as screens:
        first = screens.open("tools/run", "--accel", "tcg")
        second = screens.open("tools/term")
        for who, name in ((first, "ann"), (second, "bo")):
            screens.does(who, "run adventure-client with { world: @world }", "Your name?", "the game asks who plays")
            screens.does(who, name, "'help' says", f"{name} is in")
        t.check("Here is: ann" in second.words(), "bo sees ann", second.words())
        t.check(first.shows("* bo enters the world."), "and ann is told", first.words())
        for who in (second, first):
            screens.does(who, "n", "-- hall", "to the hall")
            screens.does(who, "go west", "-- kitchen", "to the kitchen")
        t.check(second.shows("* ann comes."), "bo sees ann come", second.words())
        screens.does(first, "take the lamp", "You have the lamp.", "ann takes the lamp")
        t.check(second.shows("* ann takes the lamp."), "bo sees it", second.words())
        second.type("")
        screens.does(first, "give lamp to bo", "It is given.", "ann gives it")
        t.check(second.shows("* ann gives you the lamp."), "bo gets it", second.words())
        screens.does(second, "use lamp", "The lamp burns.", "and lights it")
        t.check(first.shows("* The lamp burns."), "ann sees that", first.words())
        screens.does(first, "give lamp to bo", "You have no lamp.", "ann has it no more")
        screens.does(second, "say how dark", "You say it.", "bo speaks")
        t.check(first.shows("* bo says: how dark"), "ann hears", first.words())

        screens.does(first, "quit", "You leave the world.", "ann leaves")
        t.check(second.shows("* ann leaves the world."), "bo is told", second.words())
        first.shows_prompt()
        second.type("")
        screens.does(first, '@control.restart(service="adventure")', "done", "the server is killed")
        t.check(second.shows("* The world has ended. It begins anew, and you with it."), "bo is told", second.words())
        t.check(second.shows("-- gate"), "and is at the beginning", second.words())
        screens.does(second, "inventory", "You have nothing.", "without what was of the old world")
        screens.does(first, "@world.players()", '["bo"]', "and alone in the new one")
        second.type("\x04")
        t.check(second.shows("You leave the world."), "the end of what is typed ends the game", second.words())
        screens.does(first, "@world.players()", "[]", "nobody is left")
        first.type("@control.shutdown()\r")
        t.check(first.status() == 0, "the system switches itself off", first.words())
