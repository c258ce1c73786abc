"""etcd's v2 interface: a tree of directories and keys, over HTTP."""
