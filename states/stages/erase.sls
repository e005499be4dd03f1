# Nothing of the node's last use is left on its disks.
# pillar: racksalt:stages:erase = {disks: all}
erase:
  racksalt_disk.erased:
    - settings: {{ salt["pillar.get"]("racksalt:stages:erase", {}) | json }}
