"""A real cluster of one node on this machine, with porchflow as it is deployed: `make cluster` and `make cluster-down`.

All its processes live in network, mount and process namespaces of their own. Ending the first process of those ends all
others, and takes interfaces, rules of the firewall and mounts along. Cgroups and the state folder are left.
"""
