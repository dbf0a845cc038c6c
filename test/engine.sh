#!/usr/bin/env bash
# A container engine that answers. When none does and we are root on Debian or
# Ubuntu, install and start the distribution's docker.io; else say what to run.
set -euo pipefail

answers() { [ -S /var/run/docker.sock ] && curl -fsS --max-time 5 --unix-socket /var/run/docker.sock http://engine/_ping >/dev/null 2>&1; }
have() { command -v "$1" >/dev/null 2>&1; }

missing=()
have curl || missing+=(curl)
have ssh-keygen || missing+=(openssh-client)
have git || missing+=(git)
have strace || missing+=(strace)
have ip || missing+=(iproute2)
have gpg || missing+=(gnupg)
if answers && [ ${#missing[@]} -eq 0 ]; then exit 0; fi
if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
  echo "teal's tests and demo need a Docker engine on /var/run/docker.sock, curl, git, ssh-keygen, gpg, strace and ip." >&2
  echo "On Debian or Ubuntu, as root:  apt-get install -y docker.io curl git openssh-client gnupg strace iproute2 && systemctl start docker" >&2
  exit 1
fi
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}" >&2
  apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi
answers && exit 0
if ! have dockerd; then
  echo "installing docker.io" >&2
  apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables >&2
fi
if [ -d /run/systemd/system ]; then
  systemctl start docker
else
  mkdir -p /var/log
  nohup dockerd >/var/log/dockerd.log 2>&1 &
fi
for _ in $(seq 60); do answers && exit 0; sleep 0.5; done
echo "the engine does not answer; its last lines:" >&2
tail -n 20 /var/log/dockerd.log >&2 || true
exit 1
