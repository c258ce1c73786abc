"""etcd's v3 messages: the schemas beside this file, and what protoc generated from them."""
