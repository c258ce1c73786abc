"""etcd's data as bytes in trees: keys and their history, leases, alarms, and what changes them."""
