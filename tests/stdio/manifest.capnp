# SPDX-License-Identifier: MIT
@0xd3f5a1c7e9b26480;

# The default system, whose shell may start the siege's program as well and holds what a liar serves. Merged with
# manifests/default.capnp.

using M = import "/schema/manifest.capnp";

const stdio :M.Manifest = (
  services = [
    (
      name = "liar",
      program = "siege",
      grants = [
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "serve", interface = "EndpointServe", source = (serve = void)),
      ],
      exports = [(name = "bad", interface = "SystemControl")],
      restart = always,
      maxRestarts = 16,
    ),
    (
      name = "shell",
      grants = [
        (name = "bad", interface = "SystemControl",
         source = (export = (service = "liar", export = "bad"))),
      ],
    ),
  ],
  launchSets = [(name = "applications", programs = ["siege"], limits = [(class = logBytes, amount = 65536)])],
);
