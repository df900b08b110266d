# SPDX-License-Identifier: MIT
@0xf79c3334a2c2aad4;

# What the adventure's server is given, and who plays. Merged with manifests/default.capnp by the names of services and grants.

using M = import "/schema/manifest.capnp";

const part :M.Manifest = (
  services = [
    (
      name = "adventure",
      program = "adventure",
      grants = [
        (name = "timer", interface = "Timer", source = (kernel = timer),
         why = "a stranger's object that is handed to it as an item has two seconds to answer"),
        (name = "serve", interface = "EndpointServe", source = (serve = void), why = "it answers calls"),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void),
         why = "it says that it is ready"),
      ],
      exports = [(name = "world", interface = "World")],
      maxMessageBytes = 1280,
      maxCaps = 1,
      readiness = ready,
      restart = always,
      maxRestarts = 16,
      limits = [(class = frames, amount = 96), (class = kernelPages, amount = 40)],
    ),
    (
      name = "shell",
      grants = [
        (name = "world", interface = "World",
         source = (export = (service = "adventure", export = "world")),
         why = "who sits at the prompt may play"),
      ],
    ),
  ],
  launchSets = [(name = "applications", programs = ["adventure-client"])],
);
