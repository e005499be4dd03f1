# Storage nodes: long disk tests take longer than a night, so there are fewer; nothing is swapped out; no central logging.
smartd:
  long_test_days: 30

sysctl:
  vm.swappiness: 1

syslog: __remove__
