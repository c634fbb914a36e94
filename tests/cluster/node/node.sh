#!/bin/bash
# node.sh STATE BIN IMAGES: a Kubernetes of one node.
#
# It is process 1 of its own namespaces (process ids, network, mounts): whatever it starts is invisible from outside and ends
# with it, and outside stay only the directory STATE and empty cgroups below `berth`.
set -eu
trap 'echo "node.sh failed at line $LINENO" >&2' ERR
state=$1 bin=$2 images=$3
here=$(cd "$(dirname "$0")" && pwd)
node=10.200.0.1 pods=10.244.0.0/16 services=10.96.0.0/16 dns=10.96.0.10

# What programs keep outside of STATE.
for dir in /run /var/lib/cni /var/log; do
    mkdir -p "$dir" && mount -t tmpfs tmpfs "$dir"
done
# kubelet would set these for the whole machine. It sees what it wants, and nothing is set.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=/run/sysctl-${setting##*/}
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
done
hostname node

mkdir -p "$state"/{pki,log,containerd,cni,kubelet,volumes}
cd "$state"
ip link set lo up
ip link add node type bridge
ip address add $node/24 dev node
ip link set node up
ip route add default dev node
echo 1 >/proc/sys/net/ipv4/ip_forward

openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=node -days 2 -keyout pki/ca.key -out pki/ca.crt 2>/dev/null
openssl genrsa -out pki/tokens.key 2048 2>/dev/null
certificate() { # NAME SUBJECT NAMES
    openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "pki/$1.key" -out "pki/$1.csr" 2>/dev/null
    openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 2 -out "pki/$1.crt" 2>/dev/null \
        -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth' "$3")
}
certificate apiserver /CN=kube-apiserver \
    "IP:127.0.0.1,IP:$node,IP:10.96.0.1,DNS:kubernetes.default.svc,DNS:kubernetes.default,DNS:kubernetes"
certificate kubelet-client /O=system:masters/CN=kubelet-client DNS:kubelet-client
certificate front-proxy /CN=front-proxy DNS:front-proxy
token=$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
echo "$token,admin,admin,system:masters" >pki/tokens.csv
cat >admin.kubeconfig <<END
apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "https://$node:6443", certificate-authority: $state/pki/ca.crt}}]
users: [{name: admin, user: {token: $token}}]
contexts: [{name: node, context: {cluster: node, user: admin}}]
current-context: node
END
chmod 600 admin.kubeconfig pki/*.key pki/tokens.csv

start() { # NAME COMMAND…
    local name=$1
    shift
    "$@" >"log/$name.log" 2>&1 &
}
# until COMMAND…: the parts wait for each other, a minute or two.
until_ready() {
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.2
    done
    echo "not ready: $*" >&2
    exit 1
}
kubectl() { "$bin/kubectl" --kubeconfig admin.kubeconfig "$@"; }
ctr() { command ctr --address "$state/containerd/containerd.sock" --namespace k8s.io "$@"; }

cat >containerd/config.toml <<END
version = 2
root = "$state/containerd/root"
state = "/run/containerd"
[grpc]
  address = "$state/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "localhost/pause:1"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$state/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
END
cat >cni/10-node.conflist <<END
{"cniVersion": "0.4.0", "name": "node", "plugins": [
  {"type": "bridge", "bridge": "pods", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
start containerd containerd --config containerd/config.toml
# Nothing in this cluster outlives it, so nothing has to reach the disk.
start etcd "$bin/etcd" --data-dir etcd --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --unsafe-no-fsync
start kube-apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --advertise-address=$node \
    --bind-address=0.0.0.0 --secure-port=6443 --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key \
    --client-ca-file=pki/ca.crt --token-auth-file=pki/tokens.csv --authorization-mode=Node,RBAC --allow-privileged=true \
    --service-cluster-ip-range=$services --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file=pki/tokens.key --service-account-signing-key-file=pki/tokens.key \
    --kubelet-preferred-address-types=InternalIP --kubelet-client-certificate=pki/kubelet-client.crt --kubelet-client-key=pki/kubelet-client.key \
    --requestheader-client-ca-file=pki/ca.crt --requestheader-allowed-names=front-proxy \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
    --requestheader-username-headers=X-Remote-User --proxy-client-cert-file=pki/front-proxy.crt \
    --proxy-client-key-file=pki/front-proxy.key --enable-aggregator-routing=true
until_ready ctr version
for image in "$images"/*.tar; do
    ctr images import "$image" >>log/images.log 2>&1
done
until_ready kubectl get --raw /readyz
start kube-controller-manager "$bin/kube-controller-manager" --kubeconfig=admin.kubeconfig --leader-elect=false \
    --service-account-private-key-file=pki/tokens.key --root-ca-file=pki/ca.crt --use-service-account-credentials=true \
    --cluster-signing-cert-file=pki/ca.crt --cluster-signing-key-file=pki/ca.key --cluster-cidr=$pods \
    --allocate-node-cidrs=true
start kube-scheduler "$bin/kube-scheduler" --kubeconfig=admin.kubeconfig --leader-elect=false
cat >kubelet/config.yaml <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $state/pki/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /berth
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://$state/containerd/containerd.sock
clusterDNS: [$dns]
clusterDomain: cluster.local
resolvConf: /dev/null
podLogsDir: $state/log/pods
evictionHard: {nodefs.available: "1%", imagefs.available: "1%", memory.available: 100Mi}
imageMinimumGCAge: 1000h
serializeImagePulls: false
END
start kubelet "$bin/kubelet" --config=kubelet/config.yaml --kubeconfig=admin.kubeconfig --hostname-override=node \
    --node-ip=$node --root-dir="$state/kubelet/root"
start kube-proxy "$bin/kube-proxy" --kubeconfig=admin.kubeconfig --cluster-cidr=$pods --hostname-override=node \
    --proxy-mode=iptables --conntrack-max-per-core=0
until_ready kubectl get serviceaccount default
kubectl apply --filename "$here/coredns.yaml" --filename "$here/metrics-server.yaml" >>log/apply.log
for volume in 1 2 3 4 5 6 7 8; do
    mkdir -m 777 "volumes/$volume"
    cat <<END
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: volume-$volume}
spec:
  capacity: {storage: 4Gi}
  accessModes: [ReadWriteOnce, ReadWriteMany]
  hostPath: {path: $state/volumes/$volume}
END
done | kubectl apply --filename - >>log/apply.log
until_ready kubectl wait --for=condition=Ready node/node --timeout=1s
until_ready kubectl --namespace kube-system wait --for=condition=Available deployment/coredns --timeout=1s
touch ready
# Process 1 also inherits the processes whose parents have ended. It ends when a part of Kubernetes does.
wait -n
echo "a part of Kubernetes ended" >&2
exit 1
