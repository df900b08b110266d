# SPDX-License-Identifier: MIT
"""The chat: people told apart by their seats, and what a death leaves of them."""

import re

from case import case
from screen import Screens


@case("chat.seats", "who speaks is told by the seat; refusals change nothing; who lets go or is killed leaves no trace", weight=4)
def seats(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=40)

    def says(command, wanted):
        printed = guest.command(command)
        t.check(re.search(wanted, printed) is not None, f"`{command}` prints /{wanted}/", printed)

    def members(wanted, sentence):
        t.comes_to(guest, lambda: sorted(re.findall(r'"([^"]+)"', guest.command("@bo.members()"))), wanted, sentence)

    says('ann = @chat.join(room="lobby", nick="ann")', r"seat = @ann\nnumber = 1")
    says('bo = @chat.join(room="lobby", nick="bo")', r"seat = @bo\nnumber = 2")
    for command, wanted in (
            ('@chat.join(room="lobby", nick="bo")', "failed: somebody in the room has this nick"),
            ('@chat.join(room="a b", nick="cy")', "invalidArgument: a room's name is 1 to 15"),
            ('@chat.join(room="lobby", nick="")', "invalidArgument: a nick is 1 to 15"),
            ('@bo.say(text="")', "invalidArgument: what is said is 1 to 200 bytes"),
            ('@bo.say(text="a\\x1b[2J")', "invalidArgument: what is said"),
            ('@bo.say(text="%s")' % ("x" * 201), "invalidArgument: what is said"),
            ("@bo.listen(after=99)", "invalidArgument: the room's last line is number 2")):
        says(command, wanted)
    members(["ann", "bo"], "what was refused has changed nothing")
    says('@ann.say(text="hello")', "number = 3")
    says("@bo.listen(after=2)", r"3  said  false +ann +hello")
    says("@ann.listen(after=2)", r"3  said   ?true +ann +hello")
    guest.command("drop @ann")
    members(["bo"], "who lets go of the seat has left")
    says("@bo.listen(after=3)", r"4  left  false +ann")
    says('ann = @chat.join(room="lobby", nick="ann")', "seat = @ann")
    guest.command("drop @ann")

    for number in range(11):
        guest.command(f's{number} = @chat.join(room="lobby", nick="n{number}")')
    says('@chat.join(room="lobby", nick="more")', "overloaded: the room is full: it has 12 seats")
    for number in range(11):
        guest.command(f"drop @s{number}")
    members(["bo"], "all of them have left")

    guest.command("job = spawn chat-bot with { chat: @chat as ChatJoin, timer: @timer }")
    members(["bo", "bot"], "the bot takes a seat")
    number = r"number = (\d+)"
    before = int(re.search(number, guest.command('@bo.say(text="!count")'))[1])
    says(f"@bo.listen(after={before})", r"said  false +bot +I have heard 1 lines")
    first = int(re.search(number, guest.command('@bo.say(text="!roll")'))[1])
    guest.command('repeat 9 { @bo.say(text="!roll") }')
    # It answers in order: with an answer to what is asked behind them, those to the rolls are there. It comes as soon as the bot may speak again.
    heard, at = "", first

    def answered():
        nonlocal heard, at
        guest.command('@bo.say(text="!help")')
        part = guest.command(f"@bo.listen(after={at})")
        heard, at = heard + part, max([at] + [int(found) for found in re.findall(r"^ +(\d+)  said", part, re.MULTILINE)])
        return "ask me" in heard

    t.comes_to(guest, answered, True, "the bot answers as soon as it may speak again")
    t.check("a die shows" in heard, "and has answered some of the rolls", heard)
    guest.command("kill @job")
    members(["bo"], "a killed member leaves no trace")

    says('@control.restart(service="chat")', "outcome = done")
    says("@bo.members()", "DISCONNECTED")
    says("@chat.rooms()", r"\(none\)")
    t.shutdown(guest)


@case("chat.two", "two terminals chat; one is killed and gone, the service is killed and comes back, and the clients say so", weight=10, slots=2)
def two(t):
    with Screens(t) as screens:
        first = screens.open("tools/run", "--accel", "tcg")
        second = screens.open("tools/term")
        for who, name in ((first, "ann"), (second, "bo")):
            screens.does(who, "run chat-client with { chat: @chat }", "Your nick?", "the client asks for a nick")
            screens.does(who, name, f"You are {name} in lobby.", f"{name} is in")
        t.check(first.shows("* bo is here"), "ann is told of bo", first.words())
        screens.does(second, "good evening", "good evening", "bo speaks")
        t.check(first.shows("<bo> good evening"), "ann hears", first.words())
        screens.does(first, "/who", "Here: ann, bo", "ann sees who is here")
        screens.does(first, "/nick bo", "No: somebody in the room has this nick; take another.", "a nick is had by one")
        screens.does(first, "/join den", "You are ann in den.", "ann goes to another room")
        t.check(second.shows("* ann has left"), "bo is told", second.words())
        screens.does(first, "/rooms", "lobby, 1 member", "ann sees the rooms")
        screens.does(first, "/join", "/join takes a name behind it.", "what is missing is said")
        screens.does(first, "/jion x", "There is no command /jion; /help lists them.", "a wrong command is said")
        screens.does(first, "/join lobby", "You are ann in lobby.", "ann comes back")

        first.type("\x03")
        t.check(second.shows("* ann has left"), "a client that is ended has left", second.words())
        t.require(first.shows_prompt(), "the shell is back", first.words())
        second.type("")
        screens.does(first, '@control.restart(service="chat")', "done", "the service is killed")
        t.check(second.shows("* The chat was started anew; what was said before is gone."), "bo is told", second.words())
        t.check(second.shows("You are bo in lobby."), "and is in again", second.words())
        screens.does(first, "@chat.rooms()", "lobby", "and alone in the room")
        second.type("\x04")
        t.check(second.shows("You have left lobby."), "the end of what is typed ends the talk", second.words())
        screens.does(first, "@chat.rooms()", "(none)", "nobody is left")
        first.type("@control.shutdown()\r")
        t.check(first.status() == 0, "the system switches itself off", first.words())
