# pillar: racksalt:stages:image:source = images/minimal
{% set want = salt["pillar.get"]("racksalt:stages:image", {}) %}
image:
  racksalt_disk.imaged:
    - source: {{ want.get("source", "images/minimal") }}
