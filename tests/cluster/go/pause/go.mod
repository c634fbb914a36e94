// The container that holds the network of a pod, for `cargo xtask cluster`.
module berth/pause

go 1.26
