# Bootloader, name, network, users, clock, and a minion with the proof for its first boot.
# pillar: racksalt:stages:configure = {users: [{name: admin, ssh_keys: [...]}], ntp: [...], timezone: UTC}
include:
  - stages.image

configure:
  racksalt_disk.configured:
    - require:
      - racksalt_disk: image
