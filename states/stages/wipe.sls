# Erases the system disks ahead of an installation, for sites that want a certificate of that.
# pillar: racksalt:stages:wipe = {disks: system}
wipe:
  racksalt_disk.erased:
    - settings: {{ salt["pillar.get"]("racksalt:stages:wipe", {"disks": "system"}) | json }}
