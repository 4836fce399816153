#!/bin/bash
# Runs a Debian maintainer script the way dpkg would.
# usage: maintscript postinst|prerm PACKAGE ARCHITECTURE SCRIPT
set -euo pipefail

kind=$1 package=$2 architecture=$3 script=$4

export DPKG_MAINTSCRIPT_NAME=$kind
export DPKG_MAINTSCRIPT_PACKAGE=$package
export DPKG_MAINTSCRIPT_ARCH=$architecture
export DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1
export DPKG_ROOT=
export DEBIAN_FRONTEND=noninteractive
export DEBCONF_NONINTERACTIVE_SEEN=true
export PATH=/usr/lib/debtorpm/bin:/usr/sbin:/usr/bin

case $kind in
    # An empty old version says "new installation"; conffiles are RPM's business.
    postinst) exec "$script" configure '' ;;
    prerm) exec "$script" remove ;;
    *) echo "maintscript: unknown kind $kind" >&2 && exit 2 ;;
esac
