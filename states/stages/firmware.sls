# pillar: racksalt:stages:firmware:baseline = {bios: 1.2.0}
{% set want = salt["pillar.get"]("racksalt:stages:firmware", {}) %}
firmware:
  racksalt_hardware.firmware_at_least:
    - baseline: {{ want.get("baseline", {}) | json }}
