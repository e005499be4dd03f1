dns:
  servers: [10.10.0.53, 10.20.0.53]

syslog:
  target: 10.10.0.14
  protocol: tcp
