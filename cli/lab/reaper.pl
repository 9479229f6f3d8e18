# Starts a program and stands in for the first process of its host: what is orphaned below it is taken in and reaped at once.
#
#   perl reaper.pl PROGRAM ARGUMENT...
#
# An emulator leaves its libvirtd for the first process. Not every one of those reaps at once (that of a container or a microVM
# may look every two seconds), and until then libvirt counts a killed emulator as running. Ends after its last child, with
# the program's status. Source: prctl(2), PR_SET_CHILD_SUBREAPER.

use strict;
use warnings;
use POSIX ();

my $PR_SET_CHILD_SUBREAPER = 36;
my %prctl = (x86_64 => 157, aarch64 => 167);
my $number = $prctl{(POSIX::uname())[4]};
# Without it orphans are the machine's, as before: later, and right.
warn "reaper.pl: orphans are left to the machine's first process\n"
  unless defined $number && syscall($number, $PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;

defined(my $program = fork) or die "reaper.pl: fork: $!\n";
if ($program == 0) { exec { $ARGV[0] } @ARGV or POSIX::_exit(127) }
my $status = 0;
while ((my $ended = wait) != -1) { $status = $? if $ended == $program }
exit($status & 127 ? 128 + ($status & 127) : $status >> 8);
