# SPDX-License-Identifier: MIT
@0x93a7372319461285;

# A program that the shells may start. Merged with manifests/default.capnp.

using M = import "/schema/manifest.capnp";

const part :M.Manifest = (
  launchSets = [
    (name = "applications", programs = ["chat-client"]),
  ],
);
