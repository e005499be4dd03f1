# pillar: racksalt:stages:raid:arrays = [{name: md0, level: raid1, devices: 2}]
{% set want = salt["pillar.get"]("racksalt:stages:raid", {}) %}
raid:
  racksalt_hardware.raid_present:
    - arrays: {{ want.get("arrays", []) | json }}
