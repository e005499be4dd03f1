# What the stages ask of a machine. These suit virtual machines; burn real ones in for hours.
racksalt:
  stages:
    burn_in:
      cpu_s: 0.5
      memory_mib: 16
      disk_mib: 4
