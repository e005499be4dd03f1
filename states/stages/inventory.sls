# Reads the hardware; the conductor takes it from this job's result.
# pillar: racksalt:stages:inventory = {lldp_s: 32}
{% set want = salt["pillar.get"]("racksalt:stages:inventory", {}) %}
inventory:
  racksalt_hardware.inventoried:
    - lldp_s: {{ want["lldp_s"] | default(5) | json }}
{#- A live image that was built before this had no such table, and refuses an argument that it does not know. #}
{%- if "racksalt_settings.checked" in salt %}
    - wanted: {{ want | json }}
{%- endif %}
