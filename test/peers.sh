#!/usr/bin/env bash
# The proxies that make bench-proxy measures against. When one is not there and we are
# root on Debian or Ubuntu, install the distribution's; else say what to run. What the
# packages would start at once stays off.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

missing=()
have nginx || missing+=(nginx-light)
have haproxy || missing+=(haproxy)
have caddy || missing+=(caddy)
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "make bench-proxy measures against nginx, haproxy and caddy." >&2
  echo "On Debian or Ubuntu, as root:  apt-get install -y ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]}" >&2
policy=/usr/sbin/policy-rc.d # says whether a package may start its service
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
