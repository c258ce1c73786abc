"""The handlers of etcd's v3 services, one file a service."""
