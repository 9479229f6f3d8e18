#!/bin/sh
# First process of a lab's namespaces: lays out the host's mounts, says "ready", and stays, so that they stay.
#
#   unshare --mount --net --uts sh holder.sh MARK FOLDER HOSTNAME     a host
#   unshare --mount --net sh holder.sh MARK FOLDER                    the cable between hosts
#
# FOLDER is the host's in the lab's directory, where `covered` lists "OWN PLACE": own folders to lay over places of the
# machine. The root becomes a small tmpfs whose source is MARK, with the machine's top-level directories bound into it.

set -e
mark=$1 folder=$2 name=$3
mount --make-rprivate /
if [ -z "$name" ]; then
  mount -t tmpfs -o mode=700 "$mark" "$folder"
else
  hostname "$name"
  root=$folder/root
  mount -t tmpfs -o mode=755 "$mark" "$root"
  for entry in /* /.[!.]*; do
    here=$root$entry
    if [ -L "$entry" ]; then
      cp -P "$entry" "$here"
    elif [ -d "$entry" ]; then
      mkdir "$here"
      case $entry in /nfs | /run | /sys) ;; *) mount --rbind "$entry" "$here" ;; esac
    fi
  done
  mkdir -p "$root/nfs" "$root/run" "$root/.old"
  mount --bind "$folder/../nfs" "$root/nfs"
  mount -t tmpfs -o mode=755 run "$root/run"
  mkdir -p "$root/run/lock" "$root/run/openvswitch"
  # This namespace's own devices are seen only in a sysfs mounted from it.
  mount -t sysfs sys "$root/sys"
  mount --bind "$folder/hosts" "$root/etc/hosts"
  while read -r own place; do
    [ ! -d "$root$place" ] || mount --bind "$folder/$own" "$root$place"
  done <"$folder/covered"
  cd "$root"
  pivot_root . .old
  umount -l /.old
  rmdir /.old
  cd /
fi
trap '' HUP INT TERM
# Waits for a word that never comes, without a child or a timer.
mkfifo "$folder/hold"
exec 3<>"$folder/hold"
rm "$folder/hold"
echo ready
exec >/dev/null 2>&1
while :; do read -r _ <&3; done
