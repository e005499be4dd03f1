# Reads the hardware; the conductor takes it from this job's result.
inventory:
  racksalt_hardware.inventoried: []
