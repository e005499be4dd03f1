# The nearest resolver first: a list replaces the lower layer's list as a whole.
dns:
  servers: [10.20.0.53, 10.10.0.53]

syslog:
  target: 10.20.0.14
  protocol: tcp
