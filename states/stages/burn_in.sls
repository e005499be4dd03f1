# pillar: racksalt:stages:burn_in = {cpu_s: 3600, memory_mib: 75%, disk_s: 600, network_mib: 1024}
{% set want = salt["pillar.get"]("racksalt:stages:burn_in", {}) %}
burn_in:
  racksalt_hardware.burned_in:
    - load: {{ want | json }}
