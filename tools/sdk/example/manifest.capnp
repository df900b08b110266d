# SPDX-License-Identifier: MIT
@0x9d9d9b7b0b2f4e11;

# What the programs here are given, and who gets them. Merged with the manifest of the system by the names of services and grants.

using M = import "/schema/manifest.capnp";

const part :M.Manifest = (
  services = [
    (
      name = "greeter",
      program = "greeter",
      grants = [
        (name = "serve", interface = "EndpointServe", source = (serve = void), why = "it answers calls"),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void),
         why = "it says that it is ready, and hears when to stop"),
      ],
      exports = [(name = "greeter", interface = "Greeter")],
      maxMessageBytes = 512,
      maxCaps = 0,
      readiness = ready,
      restart = onFailure,
    ),
    (
      name = "shell",
      grants = [
        (name = "greeter", interface = "Greeter",
         source = (export = (service = "greeter", export = "greeter")),
         why = "who sits at the prompt may use it"),
      ],
    ),
  ],
  launchSets = [
    (name = "applications", programs = ["visitor"], why = "who sits at the prompt may start it"),
  ],
);
