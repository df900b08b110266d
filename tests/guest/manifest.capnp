# SPDX-License-Identifier: MIT
@0xc1a6f0e39d7b5248;

# The default system, whose shell may start the programs of tests/guest as well, and holds what the impostor serves. Merged with manifests/default.capnp.

using M = import "/schema/manifest.capnp";

const guest :M.Manifest = (
  services = [
    (
      name = "impostor",
      program = "impostor",
      grants = [
        (name = "world", interface = "World", source = (export = (service = "adventure", export = "world"))),
        (name = "serve", interface = "EndpointServe", source = (serve = void)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
      ],
      exports = [
        (name = "silent", interface = "Item"),
        (name = "liar", interface = "Item"),
        (name = "forwarder", interface = "Item"),
      ],
      maxMessageBytes = 512,
      maxCaps = 0,
      readiness = ready,
    ),
    (
      name = "shell",
      grants = [
        (name = "silent", interface = "Item", source = (export = (service = "impostor", export = "silent"))),
        (name = "liar", interface = "Item", source = (export = (service = "impostor", export = "liar"))),
        (name = "forwarder", interface = "Item", source = (export = (service = "impostor", export = "forwarder"))),
      ],
    ),
  ],
  launchSets = [(name = "applications", programs = ["codec-check"])],
);
