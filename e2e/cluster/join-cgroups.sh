#!/bin/bash
# Moves itself into the cgroups whose folders FILE lists, one a line, and becomes COMMAND there.
# usage: join-cgroups.sh FILE COMMAND...
set -euo pipefail
while read -r directory; do echo $$ >"$directory/cgroup.procs"; done <"$1"
shift
exec "$@"
