# What holds for every node, unless its zone, rack or node says otherwise.
timezone: Etc/UTC

ntp:
  servers: [10.10.0.1, 10.20.0.1]
  makestep_s: 1.0

dns:
  search: [dc.example.net]
  options: {timeout_s: 2, attempts: 2}

sysctl:
  vm.swappiness: 10
  net.core.somaxconn: 4096
