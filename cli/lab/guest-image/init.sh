#!/bin/busybox sh
# The guest's first and only program: finds its seed, becomes who the seed says, then answers on the serial port.
#
#   modules -> seed (label CIDATA) -> host name, network -> once per instance id: write_files, runcmd -> command loop
#
# What survives a restart is on the boot disk itself (label KUMOIGUEST, mounted on /state): the instance id that
# was set up, so that runcmd runs once per instance, as cloud-init has it; bootcmd runs at every boot.
# Serial port: one command a line; its output, then "kumoi-guest: ok" or "kumoi-guest: failed STATUS".

/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TERM=vt100
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
exec </dev/console >/dev/console 2>&1
stty -echo
echo 1 >/proc/sys/kernel/printk

load() { while read -r module; do insmod "/lib/modules/$module" 2>/dev/null; done <"/lib/modules/$1.order"; }
label() { findfs "LABEL=$1" 2>/dev/null; }
seed_disk() { label CIDATA || label cidata; }
# The value of "key: value" or of "key": "value", quotes taken off.
meta() { sed -n "s/^[{ ]*\"\{0,1\}$1\"\{0,1\}: *\"\{0,1\}\([^\",]*\)\"\{0,1\}[,} ]*\$/\1/p" /seed/meta-data | head -n 1; }

load virtio
mkdir -p /seed /state /run /tmp
seed=$(seed_disk)
if [ -z "$seed" ]; then
  # Disks of the emulated IDE controller appear some time after its driver; looking for them costs the boot half a second.
  load ata
  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    seed=$(seed_disk)
    [ -n "$seed" ] && break
    [ "$try" -ge 4 ] && ! ls /sys/block | grep -q '^sr' && break
    usleep 50000
  done
fi
[ -n "$seed" ] && { mount -t iso9660 -o ro "$seed" /seed 2>/dev/null || mount -t vfat -o ro "$seed" /seed 2>/dev/null; }
state=$(label KUMOIGUEST)
[ -n "$state" ] && mount -t vfat -o sync,noatime "$state" /state 2>/dev/null

name=localhost instance=none
if [ -f /seed/meta-data ]; then
  name=$(meta local-hostname) instance=$(meta instance-id)
fi
for part in user-data network-config; do
  [ -f "/seed/$part" ] && awk -v part="$part" -f /etc/cloud-config.awk "/seed/$part" >"/run/$part.sh"
done
[ -f /run/user-data.sh ] && . /run/user-data.sh
hostname "${name:-localhost}"
echo "127.0.0.1 localhost $name" >/etc/hosts

ip link set lo up
for link in /sys/class/net/*; do ip link set "${link##*/}" up; done
[ -f /run/network-config.sh ] && . /run/network-config.sh
type at_boot >/dev/null 2>&1 && at_boot
if [ "$(cat /state/instance 2>/dev/null)" != "$instance" ]; then
  type at_first_boot >/dev/null 2>&1 && at_first_boot
  echo "$instance" >/state/instance 2>/dev/null
fi

load late
acpid -c /etc/acpi -l /dev/null -p /run/acpid.pid 2>/dev/null
burners=
burn_off() { [ -n "$burners" ] && kill $burners 2>/dev/null; burners=; }
burn_on() {
  burn_off
  for _ in $(seq "$(nproc)"); do while :; do :; done & burners="$burners $!"; done
}

echo "kumoi-guest: up ${name:-localhost} $instance in $(cut -d ' ' -f 1 /proc/uptime)s"
while :; do
  IFS= read -r line || { sleep 1; continue; }
  line=${line%$(printf '\r')}
  set -f; set -- $line; set +f
  case $1 in
    '') continue ;;
    hostname | uptime | ip | ping | cat | ls | free | date | nproc | sync | wget | nc | arping) "$@" ;;
    instance) echo "$instance" ;;
    burn)
      case $2 in
        on) burn_on ;;
        off) burn_off ;;
        *[!0-9]* | '') echo 'burn on | off | SECONDS'; false ;;
        *) burn_on; sleep "$2"; burn_off ;;
      esac ;;
    sh) rest=${line#*sh}; sh -c "$rest" ;;
    poweroff) sync; poweroff -f ;;
    reboot) sync; reboot -f ;;
    *) echo 'commands: hostname instance uptime burn ip ping cat ls free date nproc sync wget nc arping sh poweroff reboot'; false ;;
  esac
  status=$?
  if [ "$status" -eq 0 ]; then echo 'kumoi-guest: ok'; else echo "kumoi-guest: failed $status"; fi
done
