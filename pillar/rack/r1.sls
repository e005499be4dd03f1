# This rack has a GPS clock of its own.
ntp:
  servers: [10.10.1.1]
