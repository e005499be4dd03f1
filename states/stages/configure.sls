# The installed system gets its own minion, with the proof for its first boot.
configure:
  racksalt_disk.configured: []
