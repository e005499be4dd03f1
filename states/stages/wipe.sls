# Erases the system disks ahead of an installation, for sites that want a certificate of that.
# pillar: racksalt:stages:wipe = {disks: system}
{%- set want = salt["pillar.get"]("racksalt:stages:wipe", {}) or {} %}
wipe:
  racksalt_disk.erased:
    - settings: {{ (dict({"disks": "system"}, **want) if want is mapping else want) | json }}
{#- A live image that was built before this refuses an argument that it does not know. #}
{%- if "racksalt_settings.checked" in salt %}
    - stage: wipe
{%- endif %}
