# Compares; the BMC updates: racksalt hardware update-firmware.
# pillar: racksalt:stages:firmware:baseline = {bios: 1.2.0, "nic:ice": "4.20"}
{% set want = salt["pillar.get"]("racksalt:stages:firmware", {}) %}
firmware:
  racksalt_hardware.firmware_at_least:
    - baseline: {{ want["baseline"] | default({}) | json }}
{#- A live image that was built before this had no such table, and refuses an argument that it does not know. #}
{%- if "racksalt_settings.checked" in salt %}
    - wanted: {{ want | json }}
{%- endif %}
