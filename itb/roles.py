"""The roles that itb itself gives to hosts and cases, and the port of a Compute Entrypoint."""

from __future__ import annotations

# Of hosts; a Compose file of a testbed declares the roles that products install packages on.
SERVICES = "services"  # serves repositories and public keys
WORKSPACE = "workspace"  # builds RPMs
CE = "ce"  # the Compute Entrypoint

# Of cases that are about no single host.
ITB = "itb"  # the run itself
NETWORK = "network"  # all hosts and the network between them

CE_PORT = 9619  # HTCondor-CE's default
