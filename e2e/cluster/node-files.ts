// What a local node finds in its /etc: containerd, kubelet, kube-proxy and CNI, set up for this cluster. Pure.
import { stringify } from 'yaml';
import { DNS_SERVICE_IP, nodeIp, OUTSIDE_DNS, POD_NETWORK, podNetworkOf } from './addresses.ts';

export const CNIS = ['bridge', 'ptp'] as const;
export type Cni = (typeof CNIS)[number];

export type NodeFile = { readonly path: string; readonly text: string };

/** Paths are below /etc. */
export const nodeFiles = (name: string, index: number, cni: Cni): NodeFile[] => [
  { path: 'node-ip', text: `${nodeIp(index)}\n` },
  { path: 'hosts', text: `127.0.0.1 localhost\n${nodeIp(index)} ${name}\n` },
  { path: 'resolv.conf', text: `nameserver ${OUTSIDE_DNS}\n` },
  { path: 'kubernetes/kubelet.yaml', text: stringify(KUBELET) },
  { path: 'kubernetes/kube-proxy.yaml', text: stringify(KUBE_PROXY) },
  { path: 'containerd/config.toml', text: CONTAINERD },
  {
    path: 'cni/net.d/10-podwall-cluster.conflist',
    text: `${JSON.stringify(cniConfiguration(index, cni), undefined, 2)}\n`,
  },
];

const KUBELET = {
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  authentication: { x509: { clientCAFile: '/etc/kubernetes/ca.crt' } },
  cgroupDriver: 'cgroupfs',
  clusterDNS: [DNS_SERVICE_IP],
  clusterDomain: 'cluster.local',
  containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
  // The machine's disk and memory are not the cluster's alone: what others use must not evict its pods.
  evictionHard: {
    'memory.available': '100Mi',
    'nodefs.available': '1%',
    'nodefs.inodesFree': '1%',
    'imagefs.available': '1%',
  },
  failCgroupV1: false,
  failSwapOn: false,
  imageGCHighThresholdPercent: 100,
  maxPods: 240, // as many as a node has addresses for
  resolvConf: '/etc/resolv.conf',
  shutdownGracePeriod: '0s',
};

const KUBE_PROXY = {
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  clientConnection: { kubeconfig: '/etc/kubernetes/kube-proxy.conf' },
  clusterCIDR: POD_NETWORK,
  mode: 'nftables',
  // The limits of connection tracking are the machine's, not a node's.
  conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
};

/** NRI is on as containerd has it by default, and is written out for whoever looks for its socket. */
const CONTAINERD = `version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'localhost/pause:1'
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '/etc/containerd/certs.d'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true # root may not lower one where it lacks CAP_SYS_RESOURCE
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '/run/podwall-cluster/bin/runc'
[plugins.'io.containerd.nri.v1.nri']
  disable = false
  socket_path = '/var/run/nri/nri.sock'
`;

function cniConfiguration(index: number, cni: Cni): object {
  const device =
    cni === 'bridge' ? { type: 'bridge', bridge: 'cni0', isGateway: true, hairpinMode: true } : { type: 'ptp' };
  const ranges = [[{ subnet: podNetworkOf(index) }]];
  const ipam = { type: 'host-local', ranges, routes: [{ dst: '0.0.0.0/0' }] };
  return {
    cniVersion: '1.0.0',
    name: 'podwall-cluster',
    plugins: [
      { ...device, ipam },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}
