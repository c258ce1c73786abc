"""`roost doctor`: whether this machine, this configuration or a running cluster is well."""
