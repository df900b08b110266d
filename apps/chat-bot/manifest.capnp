# SPDX-License-Identifier: MIT
@0xf1c0ae35a78f51d5;

# A program that the shells may start. Merged with manifests/default.capnp.

using M = import "/schema/manifest.capnp";

const part :M.Manifest = (
  launchSets = [
    (name = "applications", programs = ["chat-bot"]),
  ],
);
