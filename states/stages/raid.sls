# Arrays of data disks; the system's own RAID 1 is the stage partition's.
# pillar: racksalt:stages:raid:arrays = [{name: data, level: raid1, devices: 2, match: {media: hdd}}]
{% set want = salt["pillar.get"]("racksalt:stages:raid", {}) %}
raid:
  racksalt_raid.present:
    - arrays: {{ want["arrays"] | default([]) | json }}
    - overwrite: {{ want["overwrite"] | default(False) | json }}
{#- A live image that was built before this had no such table, and refuses an argument that it does not know. #}
{%- if "racksalt_settings.checked" in salt %}
    - wanted: {{ want | json }}
{%- endif %}
