# pillar: racksalt:stages:image:source = os/debian-12/2026.11
image:
  racksalt_disk.imaged:
    - settings: {{ salt["pillar.get"]("racksalt:stages:image", {}) | json }}
