# SPDX-License-Identifier: MIT
@0x82d6382fa1a9fdd8;

# What the chat is given, and who gets it. Merged with manifests/default.capnp by the names of services and grants.

using M = import "/schema/manifest.capnp";

const part :M.Manifest = (
  services = [
    (
      name = "chat",
      program = "chat",
      grants = [
        (name = "log", interface = "LogWriter", source = (kernel = log), why = "it says why it cannot serve"),
        (name = "serve", interface = "EndpointServe", source = (serve = void), why = "it answers calls"),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void),
         why = "it says that it is ready, and hands over to a successor"),
      ],
      exports = [(name = "chat", interface = "Chat")],
      maxMessageBytes = 2176,
      maxCaps = 0,
      readiness = ready,
      restart = always,
      maxRestarts = 5,
      limits = [(class = frames, amount = 128), (class = kernelPages, amount = 44)],
    ),
    (
      name = "shell",
      grants = [
        (name = "chat", interface = "Chat",
         source = (export = (service = "chat", export = "chat")),
         why = "who sits at the prompt may talk, and have programs talk"),
      ],
    ),
  ],
);
