# After a power cut this is another boot, and what an earlier one partitioned counts no more: it is done again here.
# pillar: racksalt:stages:image:source = os/debian-12/2026.11
include:
  - stages.partition

image:
  racksalt_disk.imaged:
    - settings: {{ salt["pillar.get"]("racksalt:stages:image", {}) | json }}
    - require:
      - racksalt_disk: partition
