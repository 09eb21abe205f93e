#!/bin/bash
# PID 1 of a local node, once it has its file system: keeps containerd, kubelet and kube-proxy running.
# usage: node-daemons.sh NODE PID   (PID: of this process, as the machine sees it)
set -euo pipefail
node=$1 pid=$2
own=/run/podwall-cluster
export PATH=$own/bin:/usr/sbin:/usr/bin:/sbin:/bin

umount -l /run/old
rmdir /run/old
mount --make-rshared /
cp -r --remove-destination "$own/node/etc/." /etc/
cp "$own"/bin/{bridge,host-local,loopback,portmap,ptp} /opt/cni/bin/

# keep NAME COMMAND...: starts it again whenever it ends. Its pid, as the node sees it, is in $own/NAME.pid.
keep() {
	local name=$1
	shift
	while :; do
		"$@" >>"$own/node/$name.log" 2>&1 &
		echo $! >"$own/$name.pid"
		wait $! || true
		echo "$name ended, starting it again" >>"$own/node/$name.log"
		sleep 1
	done
}

keep containerd containerd --config /etc/containerd/config.toml &
until ctr version >/dev/null 2>&1; do sleep 0.1; done
for archive in "$own"/images/*.tar; do
	ctr -n k8s.io images import "$archive" >/dev/null
done
keep kubelet kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/kubelet.conf \
	--hostname-override="$node" --node-ip="$(</etc/node-ip)" --v=1 &
keep kube-proxy kube-proxy --config=/etc/kubernetes/kube-proxy.yaml --hostname-override="$node" &
# Whoever enters the node finds it by this, so it is written last.
echo "$pid" >"$own/node/init.pid"
while :; do wait; sleep 1; done
