#!/usr/bin/env bash
# Prints the path of a tar of a small Debian with systemd, made once and kept in the
# user's cache: debootstrap takes minutes. It comes from debootstrap's own mirror, or from
# TEAL_DEBIAN_MIRROR.
set -euo pipefail
suite=bookworm
cache=${XDG_CACHE_HOME:-$HOME/.cache}/teal
tar=$cache/systemd-$suite.tar
if [ ! -s "$tar" ]; then
  if [ "$(id -u)" -ne 0 ]; then
    echo "a root filesystem is made by root: run make systemd as root" >&2
    exit 1
  fi
  if ! command -v debootstrap >/dev/null; then
    command -v apt-get >/dev/null || { echo "install debootstrap" >&2; exit 1; }
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >&2
  fi
  mkdir -p "$cache"
  work=$(mktemp -d /var/tmp/teal-systemd-root-XXXXXX)
  trap 'rm -rf "$work"' EXIT
  echo "making a Debian with systemd, once, in $tar" >&2
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus "$suite" "$work/root" ${TEAL_DEBIAN_MIRROR:+"$TEAL_DEBIAN_MIRROR"} >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2; exit 1; }
  rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
  tar -C "$work/root" -cf "$work/tar" .
  mv "$work/tar" "$tar.new" && mv "$tar.new" "$tar"
fi
echo "$tar"
