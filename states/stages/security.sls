# pillar: racksalt:stages:security = {require: [secure_boot, foreign_disks], allowed: {bios: [1.2.0]}}
{% set want = salt["pillar.get"]("racksalt:stages:security", {}) %}
security:
  racksalt_hardware.secure:
    - checks: {{ want.get("require", []) | json }}
    - allowed: {{ want.get("allowed", {}) | json }}
