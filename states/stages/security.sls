# pillar: racksalt:stages:security = {require: [secure_boot, foreign_disks], allowed: {bios: [1.2.0]}}
{% set want = salt["pillar.get"]("racksalt:stages:security", {}) %}
security:
  racksalt_hardware.secure:
    - checks: {{ want["require"] | default([]) | json }}
    - allowed: {{ want["allowed"] | default({}) | json }}
{#- A live image that was built before this had no such table, and refuses an argument that it does not know. #}
{%- if "racksalt_settings.checked" in salt %}
    - wanted: {{ want | json }}
{%- endif %}
