monitoring:
  address: monitor.dc.example.net
  port: 8443
  interval_s: 60
  # A reference, not the token: whoever needs it asks Salt's sdb when it is needed.
  token: sdb://racksalt/monitoring-token

smartd:
  interval_s: 1800
  long_test_days: 7
