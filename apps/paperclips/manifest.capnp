# SPDX-License-Identifier: MIT
@0xb792358404eeabc9;

# What the paperclip business is given, and who runs it. Merged with manifests/default.capnp by the names of services and grants.

using M = import "/schema/manifest.capnp";

const part :M.Manifest = (
  services = [
    (
      name = "paperclips",
      program = "paperclips",
      grants = [
        (name = "timer", interface = "Timer", source = (kernel = timer),
         why = "the business goes on as time passes; it reads the time and never waits"),
        (name = "serve", interface = "EndpointServe", source = (serve = void), why = "it answers calls"),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void),
         why = "it says that it is ready, and hands the business over to a successor"),
      ],
      exports = [(name = "paperclips", interface = "Paperclips")],
      maxMessageBytes = 256,
      maxCaps = 0,
      readiness = ready,
      restart = always,
      maxRestarts = 16,
      limits = [(class = frames, amount = 64), (class = kernelPages, amount = 36)],
    ),
    (
      name = "shell",
      grants = [
        (name = "paperclips", interface = "Paperclips",
         source = (export = (service = "paperclips", export = "paperclips")),
         why = "who sits at the prompt may run the business"),
      ],
    ),
  ],
);
