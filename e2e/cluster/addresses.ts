// The networks of a local cluster. All are its own, in network namespaces of this machine, so clusters may share them.

/** Routes between all the others, and has the control plane. */
export const ROUTER_IP = '10.200.0.1';
export const API_SERVER = `${ROUTER_IP}:6443`;
export const nodeIp = (index: number): string => `10.200.0.${10 + index}`;
export const POD_NETWORK = '10.244.0.0/16';
export const podNetworkOf = (index: number): string => `10.244.${index}.0/24`;
export const SERVICE_NETWORK = '10.96.0.0/16';
export const API_SERVICE_IP = '10.96.0.1';
export const DNS_SERVICE_IP = '10.96.0.10';

/** What is outside the cluster: a DNS server, and a web server (HTTP on 80, UDP on 8081). */
export const OUTSIDE_GATEWAY = '198.51.100.1';
export const OUTSIDE_DNS = '198.51.100.53';
export const OUTSIDE_WEB = '198.51.100.10';
