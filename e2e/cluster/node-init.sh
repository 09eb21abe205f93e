#!/bin/bash
# PID 1 of a local node, in namespaces of its own: gives it a file system, then runs node-daemons.sh in it.
# usage: node-init.sh NODE NODE-FOLDER PROGRAMS IMAGES
set -euo pipefail
node=$1 dir=$2 programs=$3 images=$4
self=$(dirname "$(realpath "$0")")

# The old /proc still tells which pid this is outside.
read -r pid _ </proc/self/stat
hostname "$node"

# The root is an overlay over the machine's: what a pod writes by hostPath stays in the node's folder. Mounts of the
# machine below / are not in it.
root=$dir/root
mkdir -p "$root" "$dir"/{upper,work,containerd,kubelet,pods,run}
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$root"
mkdir -p "$root"/{opt/cni/bin,etc/cni/net.d,etc/containerd/certs.d,var/log/pods,var/log/containers} \
	"$root"/var/lib/{cni,containerd,kubelet}
mount --bind "$dir/containerd" "$root/var/lib/containerd"
mount --bind "$dir/kubelet" "$root/var/lib/kubelet"
mount --bind "$dir/pods" "$root/var/log/pods"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t bpf bpf "$root/sys/fs/bpf"
[ ! -d "$root/sys/kernel/tracing" ] || mount -t tracefs tracefs "$root/sys/kernel/tracing"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
chmod 1777 "$root/tmp"
own=$root/run/podwall-cluster
mkdir -p "$root"/run/{lock,netns} "$own"/{bin,images,node,self}
mount --bind "$programs" "$own/bin"
mount --bind "$images" "$own/images"
mount --bind "$dir" "$own/node"
mount --bind "$self" "$own/self"

# cgroup v1 as on the machine, from the node's own cgroup down.
cgroups=$root/sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs "$cgroups"
while IFS=: read -r _ names _; do
	case $names in
	'') mkdir "$cgroups/unified" && mount -t cgroup2 cgroup2 "$cgroups/unified" ;;
	name=*) mkdir "$cgroups/${names#*=}" && mount -t cgroup -o "none,$names" cgroup "$cgroups/${names#*=}" ;;
	*) mkdir "$cgroups/$names" && mount -t cgroup -o "$names" cgroup "$cgroups/$names" ;;
	esac
done </proc/self/cgroup

mkdir "$root/run/old"
cd "$root"
pivot_root . run/old
exec chroot . /run/podwall-cluster/self/node-daemons.sh "$node" "$pid" </dev/null
