# Through the kernel where it offers settings; elsewhere by the BMC: racksalt hardware set-bios.
# pillar: racksalt:stages:bios:settings = {VirtTechnology: Enabled}
{% set want = salt["pillar.get"]("racksalt:stages:bios", {}) %}
bios:
  racksalt_hardware.bios_set:
    - settings: {{ want["settings"] | default({}) | json }}
    - wanted: {{ want | json }}
