# Under observation: its clock is compared with a reference outside the rack.
ntp:
  servers: [10.10.0.1]
  makestep_s: 0.1
