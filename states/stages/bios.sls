# Through the kernel where it offers settings; elsewhere by the BMC: racksalt hardware set-bios.
# pillar: racksalt:stages:bios:settings = {VirtTechnology: Enabled}
{% set want = salt["pillar.get"]("racksalt:stages:bios", {}) %}
bios:
  racksalt_hardware.bios_set:
    - settings: {{ want["settings"] | default({}) | json }}
{#- A live image that was built before this had no such table, and refuses an argument that it does not know. #}
{%- if "racksalt_settings.checked" in salt %}
    - wanted: {{ want | json }}
{%- endif %}
