# pillar: racksalt:stages:security = {require: [secure_boot, foreign_disks], allowed: {bios: [1.2.0]}}
{% set want = salt["pillar.get"]("racksalt:stages:security", {}) %}
security:
  racksalt_hardware.secure:
    - checks: {{ want["require"] | default([]) | json }}
    - allowed: {{ want["allowed"] | default({}) | json }}
    - wanted: {{ want | json }}
