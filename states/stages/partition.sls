# pillar: racksalt:stages:partition = {disks: {count: 2}, raid: raid1, root_gb: 40}
partition:
  racksalt_disk.partitioned:
    - settings: {{ salt["pillar.get"]("racksalt:stages:partition", {}) | json }}
