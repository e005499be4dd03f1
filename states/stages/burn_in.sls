# pillar: racksalt:stages:burn_in = {cpu_s: 3600, memory_mib: 4096, disk_mib: 1024}
{% set want = salt["pillar.get"]("racksalt:stages:burn_in", {}) %}
burn_in:
  racksalt_hardware.burned_in:
    - cpu_s: {{ want.get("cpu_s", 60) }}
    - memory_mib: {{ want.get("memory_mib", 256) }}
    - disk_mib: {{ want.get("disk_mib", 64) }}
