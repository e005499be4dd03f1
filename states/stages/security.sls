# pillar: racksalt:stages:security:require = [secure_boot, bmc_password]
{% set want = salt["pillar.get"]("racksalt:stages:security", {}) %}
security:
  racksalt_hardware.secure:
    - require: {{ want.get("require", []) | json }}
