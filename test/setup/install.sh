#!/bin/sh
# Installs what the tests with real hypervisors, switches and guests need: called by `npm test`, first.
#
# Does nothing, in a few milliseconds, when all is there. Elsewhere than as root on Debian it says what is missing; the
# tests then skip with "absent: ...". Never fails: what cannot be installed is a skip too, which CI counts as a failure.
# Services that the packages would start are kept from starting: the tests run their own.

missing=
need() { # PROGRAM PACKAGE
  command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
PATH=$PATH:/usr/sbin:/sbin
need libvirtd libvirt-daemon-system
need virsh libvirt-clients
need qemu-system-x86_64 qemu-system-x86
need qemu-img qemu-utils
need ovs-vswitchd openvswitch-switch
need ovsdb-server openvswitch-switch
need xorrisofs xorriso
need busybox busybox-static
need etcd etcd-server
need etcdctl etcd-client
need nats-server nats-server
need slapd slapd
need openssl openssl
need ip iproute2
need nft nftables
need nsenter util-linux
[ -e /usr/lib/x86_64-linux-gnu/libvirt.so.0 ] || [ -e /usr/lib/aarch64-linux-gnu/libvirt.so.0 ] || missing="$missing libvirt0"
[ -z "$missing" ] && exit 0

if [ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "test set-up: not installed:$missing; tests that need them are skipped (as root on Debian this script installs them)" >&2
  exit 0
fi

echo "test set-up: installing$missing" >&2
# invoke-rc.d asks this file whether a service may start: 101 is no (Debian policy, section 9.3.3.1).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT INT TERM
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of package names
install() { apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 $missing >/dev/null; }
install 2>/dev/null || { apt-get update -qq && install; } ||
  echo "test set-up: apt-get could not install$missing; tests that need them are skipped" >&2
exit 0
